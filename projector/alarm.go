// Package projector folds batches of events into views and commits them to the store
// together with the position: the views of a partition include every event up to its
// position, and none beyond.
package projector

import "errors"

// AlarmReason says in one word why a partition has stopped; a label value of
// pinstatus_projector_alarm.
type AlarmReason string

// The reasons to stop.
const (
	AlarmStreamRecreated AlarmReason = "stream_recreated" // the stream is not the one that the positions are of
	AlarmStreamTruncated AlarmReason = "stream_truncated" // the stream has lost its tail, or was restored
	AlarmRetention       AlarmReason = "retention"        // the stream no longer holds what comes next
	AlarmPartitions      AlarmReason = "partitions"       // the stream has another number of partitions
	AlarmCodec           AlarmReason = "codec"            // the views have another binary form
	AlarmPolicyOlder     AlarmReason = "policy_older"     // the views were folded with a newer policy
	AlarmPolicyConflict  AlarmReason = "policy_conflict"  // the policy changed and its version did not
	AlarmDamaged         AlarmReason = "damaged"          // a stored view cannot be read
	AlarmTorn            AlarmReason = "torn"             // a commit was left unfinished
)

// alarmReasons are all of them.
var alarmReasons = [...]AlarmReason{
	AlarmStreamRecreated, AlarmStreamTruncated, AlarmRetention, AlarmPartitions, AlarmCodec,
	AlarmPolicyOlder, AlarmPolicyConflict, AlarmDamaged, AlarmTorn,
}

// Alarm is a reason for which a partition stops rather than skip or guess: an operator has
// to decide. It is tried again, so that it ends by itself once its cause does.
type Alarm struct {
	Reason AlarmReason
	Detail string
}

func (a *Alarm) Error() string { return string(a.Reason) + ": " + a.Detail }

// ErrTorn is what the errors of a Store wrap that mean that a commit was left unfinished,
// one that is not the commit tried: nothing is known of the partition's views, and to try
// again does not help.
var ErrTorn = errors.New("a commit was left unfinished")

// torn is err, as an alarm if it is ErrTorn.
func torn(err error) error {
	if !errors.Is(err, ErrTorn) {
		return err
	}
	return &Alarm{Reason: AlarmTorn, Detail: err.Error() + ": if its projector does not come back, make the views anew by `pinstatus rebuild`"}
}

// alarmOf is the reason of the alarm that err is, empty if it is none.
func alarmOf(err error) AlarmReason {
	var a *Alarm
	if errors.As(err, &a) {
		return a.Reason
	}
	return ""
}
