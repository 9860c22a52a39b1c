package app

// draft is what is begun in a conversation. One of a room belongs to the room in which it is
// written: another may come to have the name.
type draft struct {
	text, stored string  // stored: as it was last read from the store or written there
	elsewhere    *string // what another process has begun, which wasn't taken in; nil: nothing
}

// draft returns what is begun in a conversation: in the room of the name that was turned to.
func (s *Session) draft(c *contact) *draft {
	return s.draftIn(c, c.meant)
}

// draftIn returns what is begun in the room with that handle.
func (s *Session) draftIn(c *contact, handle string) *draft {
	d := c.drafts[handle]
	if d != nil {
		return d
	}
	d = new(draft)
	if handle != "" && s.store != nil {
		var err error
		if d.text, err = s.store.RoomDraft(handle); err != nil {
			s.refuse(s.explain(err))
		}
		d.stored = d.text
	}
	if c.drafts == nil {
		c.drafts = map[string]*draft{}
	}
	c.drafts[handle] = d
	return d
}

// take takes what another process has begun, unless something else was written here since.
func (d *draft) take() {
	if d.elsewhere != nil && d.text == d.stored {
		d.text, d.stored = *d.elsewhere, *d.elsewhere
	}
	d.elsewhere = nil
}

// Draft returns what was begun in a conversation and not yet said; with the zero Conv what
// was begun where none was shown.
func (s *Session) Draft(conv Conv) string {
	if conv.IsZero() {
		return s.begun
	}
	if c := s.contacts[conv]; c != nil {
		return s.draft(c).text
	}
	return ""
}

// SetDraft keeps what is begun: that of a conversation within a second, over a crash too.
func (s *Session) SetDraft(conv Conv, text string) {
	if conv.IsZero() {
		s.begun = text
		return
	}
	c := s.about(conv)
	if d := s.draft(c); d.text != text {
		d.text = text
		s.touch(c)
	}
}
