// Package projector folds batches of events into views and commits them to the store
// together with the position: the views of a partition include every event up to its
// position, and none beyond.
package projector

// AlarmReason says in one word why a projector has stopped; a label value of
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
)

// alarmReasons are all of them.
var alarmReasons = [...]AlarmReason{
	AlarmStreamRecreated, AlarmStreamTruncated, AlarmRetention, AlarmPartitions, AlarmCodec,
	AlarmPolicyOlder, AlarmPolicyConflict, AlarmDamaged,
}

// Alarm is a reason for which a projector stops rather than skip or guess: an operator
// has to decide. It is tried again, so that it ends by itself once its cause does.
type Alarm struct {
	Reason AlarmReason
	Detail string
}

func (a *Alarm) Error() string { return string(a.Reason) + ": " + a.Detail }
