package fold

// ErasedAt is the effective time of the code's latest erasure that is still remembered; 0 if
// there is none. Events up to it may have been removed from the stream since, so that a fold
// of what is left keeps less of them.
func (c *Code) ErasedAt() int64 { return c.erasedAt }

// DeletedAt is the effective time of the account's latest deletion that is still remembered;
// 0 if there is none. See ErasedAt.
func (a *Account) DeletedAt() int64 { return a.deletedAt }
