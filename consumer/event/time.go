package event

import "time"

// Times of events lie after the Unix epoch and before the year 2262: nanoseconds of a later
// one would not fit, and one that is not after the epoch was never set.
const maxTime = 106651*24*60*60*int64(time.Second) - 1

func validTime(unixNano int64) bool { return unixNano > 0 && unixNano <= maxTime }

// Days of a common year that lie before each month.
var daysBefore = [...]int64{1: 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365}

// parseTime reads an RFC 3339 timestamp as nanoseconds since the Unix epoch; false if it is
// none or lies outside the range of validTime. Digits beyond nanoseconds are cut. A leap
// second is the second after it, as in Unix time.
func parseTime(s string) (int64, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' || s[7] != '-' || s[10]|0x20 != 't' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	century, ok1 := twoDigits(s[0], s[1])
	year, ok2 := twoDigits(s[2], s[3])
	month, ok3 := twoDigits(s[5], s[6])
	day, ok4 := twoDigits(s[8], s[9])
	hour, ok5 := twoDigits(s[11], s[12])
	minute, ok6 := twoDigits(s[14], s[15])
	second, ok7 := twoDigits(s[17], s[18])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7) || hour > 23 || minute > 59 || second > 60 {
		return 0, false
	}
	days, ok := daysSinceEpoch(century*100+year, month, day)
	if !ok {
		return 0, false
	}
	nanos, i := parseFraction(s)
	offset, ok := parseOffset(s[i:])
	if !ok {
		return 0, false
	}
	seconds := days*86400 + hour*3600 + minute*60 + second - offset
	if seconds < 0 || seconds > maxTime/int64(time.Second) || second == 60 && !startsMonth(seconds) {
		return 0, false
	}
	t := seconds*int64(time.Second) + nanos
	return t, validTime(t)
}

func twoDigits(tens, ones byte) (int64, bool) {
	t, o := tens-'0', ones-'0'
	return int64(t)*10 + int64(o), t <= 9 && o <= 9
}

func daysSinceEpoch(year, month, day int64) (int64, bool) {
	if year < 1969 || year > 2262 || month < 1 || month > 12 || day < 1 {
		return 0, false
	}
	leap := year%4 == 0 && (year%100 != 0 || year%400 == 0)
	length := daysBefore[1:][month] - daysBefore[month]
	if leap && month == 2 {
		length++
	}
	if day > length {
		return 0, false
	}
	before := year - 1
	days := (year-1970)*365 + before/4 - before/100 + before/400 - 477 + daysBefore[month] + day - 1
	if leap && month > 2 {
		days++
	}
	return days, true
}

// parseFraction reads the fraction of the second, if any, and returns it in nanoseconds
// with the index of what follows. A point without a digit is left for parseOffset to refuse.
func parseFraction(s string) (nanos int64, next int) {
	i := len("2006-01-02T15:04:05")
	if s[i] != '.' {
		return 0, i
	}
	j, unit := i+1, int64(time.Second)
	for ; j < len(s) && s[j]-'0' <= 9; j++ {
		unit /= 10
		nanos += int64(s[j]-'0') * unit
	}
	if j == i+1 {
		return 0, i
	}
	return nanos, j
}

// parseOffset reads the zone, which is all that remains, as seconds east of UTC.
func parseOffset(s string) (int64, bool) {
	if len(s) == 1 {
		return 0, s[0]|0x20 == 'z'
	}
	if len(s) != len("+00:00") || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return 0, false
	}
	hours, ok1 := twoDigits(s[1], s[2])
	minutes, ok2 := twoDigits(s[4], s[5])
	if !ok1 || !ok2 || hours > 23 || minutes > 59 {
		return 0, false
	}
	offset := hours*3600 + minutes*60
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// startsMonth reports whether a month begins at that second, in UTC: leap seconds are
// inserted before such seconds only.
func startsMonth(seconds int64) bool {
	return seconds%86400 == 0 && time.Unix(seconds, 0).UTC().Day() == 1
}

func appendTime(dst []byte, unixNano int64) []byte {
	return time.Unix(0, unixNano).UTC().AppendFormat(dst, time.RFC3339Nano)
}
