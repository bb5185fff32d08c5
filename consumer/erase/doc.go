// Package erase removes all that the broker's streams hold of a PIN code or an account.
//
// It publishes the event that erases the views (rules D5 and P6), waits until that has been
// processed, and then deletes the events of the key from the event stream, and its dead
// letters. The erasing event stays: in every later fold it keeps what comes late without
// effect.
package erase
