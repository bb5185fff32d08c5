// Package config reads the configuration file: the tenants, their PIN types, and who may
// ask for what.
//
// A file is taken whole or not at all. Whatever is wrong in it is reported at once, each
// problem with file, line and member, and nothing is guessed: an unknown member is an
// error, as is a member without a value.
package config
