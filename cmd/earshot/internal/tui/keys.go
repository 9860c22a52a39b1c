package tui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"earshot/cmd/earshot/internal/app"
)

// An action is what a key does.
type action string

// binding is a row of the key map. Help is made from it, and the configuration may give
// an action other keys.
type binding struct {
	action action
	keys   []string // as Bubble Tea calls them: alt+a, ctrl+k, pgup, f1
	help   string
	do     func(*model)
}

// group is a section of the help page.
type group struct {
	title    string
	bindings []binding
}

// keyMap is the key map: the only place where keys are named.
func keyMap() []group {
	return []group{
		{"people", append([]binding{
			{"next-unread", []string{"alt+a"}, "next unread", (*model).nextUnread},
			{"next", []string{"ctrl+n", "alt+down"}, "next in the list", func(m *model) { m.step(1) }},
			{"previous", []string{"ctrl+p", "alt+up"}, "previous in the list", func(m *model) { m.step(-1) }},
			{"switch", []string{"ctrl+k"}, "find somebody", (*model).openSwitcher},
			{"retry", []string{"alt+r"}, "send again what failed", (*model).retry},
		}, goTo()...)},
		{"writing", []binding{
			{"send", []string{"enter"}, "send", (*model).enter},
			{"new-line", []string{"alt+enter", "shift+enter", "ctrl+j"}, "new line", func(m *model) { m.input.insert("\n") }},
			{"complete", []string{"tab"}, "name, command, :emoji", func(m *model) { m.complete(1) }},
			{"complete-back", []string{"shift+tab"}, "the offer before", func(m *model) { m.complete(-1) }},
			{"up", []string{"up"}, "what was typed before", (*model).up},
			{"down", []string{"down"}, "what was typed after", (*model).down},
			{"line-start", []string{"ctrl+a", "home"}, "start of the line", edit((*editor).home)},
			{"line-end", []string{"ctrl+e", "end"}, "end of the line", edit((*editor).end)},
			{"left", []string{"left", "ctrl+b"}, "left", edit((*editor).left)},
			{"right", []string{"right", "ctrl+f"}, "right", edit((*editor).right)},
			{"word-left", []string{"alt+b", "ctrl+left", "alt+left"}, "left by a word", edit((*editor).wordLeft)},
			{"word-right", []string{"alt+f", "ctrl+right", "alt+right"}, "right by a word", edit((*editor).wordRight)},
			{"delete-left", []string{"backspace", "ctrl+h", "shift+backspace"}, "delete what is before", edit((*editor).deleteLeft)},
			{"delete-right", []string{"delete", "ctrl+d"}, "delete what is behind", edit((*editor).deleteRight)},
			{"cut-word-left", []string{"ctrl+w"}, "cut up to a blank", edit((*editor).cutWordLeft)},
			{"cut-part-left", []string{"alt+backspace"}, "cut the word before", edit((*editor).cutPartLeft)},
			{"cut-word-right", []string{"alt+d"}, "cut the word behind", edit((*editor).cutWordRight)},
			{"cut-to-start", []string{"ctrl+u"}, "cut what is before", edit((*editor).cutToStart)},
			{cutToEnd, []string{"ctrl+k"}, "cut what is behind", edit((*editor).cutToEnd)},
			{"paste-cut", []string{"ctrl+y"}, "put back what was cut", edit((*editor).yank)},
			{"swap", []string{"ctrl+t"}, "swap two characters", edit((*editor).swap)},
		}},
		{"reading", []binding{
			{"page-up", []string{"pgup"}, "back by a page", func(m *model) { m.scroll(-m.pageRows()) }},
			{"page-down", []string{"pgdown"}, "forward by a page", func(m *model) { m.scroll(m.pageRows()) }},
			{"line-up", []string{"ctrl+up", "shift+up"}, "back by a row", func(m *model) { m.scroll(-1) }},
			{"line-down", []string{"ctrl+down", "shift+down"}, "forward by a row", func(m *model) { m.scroll(1) }},
			{"oldest", []string{"alt+home", "ctrl+home"}, "to the beginning", (*model).toTop},
			{"newest", []string{"alt+end", "ctrl+end"}, "to the end", (*model).toEnd},
			{"search", []string{"ctrl+r"}, "search what was said", (*model).openSearch},
		}},
		{"the screen", []binding{
			{"help", []string{"f1"}, "this page; also ?", (*model).openHelp},
			{"cancel", []string{"esc"}, "close, cancel", (*model).cancel},
			{"clear", []string{"ctrl+c"}, "clear the line; quit", (*model).clear},
			{"redraw", []string{"ctrl+l"}, "draw the screen anew", (*model).redraw},
			{"suspend", []string{"ctrl+z"}, "to the shell; fg: back", (*model).suspend},
			{"mouse", []string{"alt+m"}, "the mouse, on or off", (*model).toggleMouse},
		}},
	}
}

// cutToEnd shares its key with another action, which it leaves it to at the end of a line.
const cutToEnd action = "cut-to-end"

func goTo() (all []binding) {
	for i := range 9 {
		n := strconv.Itoa(i + 1)
		all = append(all, binding{action("go-" + n), []string{"alt+" + n}, "number " + n + " of the list", func(m *model) { m.goTo(i) }})
	}
	return all
}

// numbered reports whether the first nine bindings are those of goTo, as they were.
func numbered(bindings []binding) bool {
	for i, b := range goTo() {
		if i >= len(bindings) || bindings[i].action != b.action || !slices.Equal(bindings[i].keys, b.keys) {
			return false
		}
	}
	return true
}

func edit(f func(*editor)) func(*model) { return func(m *model) { f(&m.input) } }

// keys is a key map ready for use.
type keys struct {
	groups []group
	by     map[string][]*binding
}

// newKeys changes the key map as the configuration says: the keys of some actions.
// Errors name what is wrong.
func newKeys(changed app.Keys) (*keys, error) {
	k := &keys{groups: keyMap(), by: map[string][]*binding{}}
	left := len(changed)
	var own []*binding // those that the configuration names come first
	for g := range k.groups {
		for i := range k.groups[g].bindings {
			b := &k.groups[g].bindings[i]
			if to, ok := changed[string(b.action)]; ok {
				left--
				b.keys = nil
				for _, key := range to {
					name, err := keyName(key)
					if err != nil {
						return nil, &app.KeyError{Action: string(b.action), Text: fmt.Sprintf("%s: %v", b.action, err)}
					}
					b.keys = append(b.keys, name)
				}
				own = append(own, b)
			}
		}
	}
	if left > 0 {
		for name := range changed {
			if !slices.Contains(actions(k.groups), name) {
				return nil, &app.KeyError{Action: name, Text: fmt.Sprintf("there is no action %q; there are: %s", name, strings.Join(actions(k.groups), ", "))}
			}
		}
	}
	for _, b := range own {
		for _, key := range b.keys {
			if other := k.by[key]; other != nil {
				return nil, &app.KeyError{Action: string(b.action), Text: fmt.Sprintf("%s is given to %s and to %s", key, other[0].action, b.action)}
			}
			k.by[key] = []*binding{b}
		}
	}
	for g := range k.groups {
		for i := range k.groups[g].bindings {
			b := &k.groups[g].bindings[i]
			if slices.Contains(own, b) {
				continue
			}
			// What the configuration has taken for something else is lost here.
			b.keys = slices.DeleteFunc(slices.Clone(b.keys), func(key string) bool {
				return len(k.by[key]) > 0 && slices.Contains(own, k.by[key][0])
			})
			for _, key := range b.keys {
				k.by[key] = append(k.by[key], b)
			}
		}
	}
	for _, needed := range []action{"send", "clear"} {
		if b := k.binding(needed); len(b.keys) == 0 {
			return nil, &app.KeyError{Action: string(needed), Text: string(needed) + " has no key"}
		}
	}
	return k, nil
}

// CheckKeys returns what is wrong with the `keys` section of a configuration: names of
// actions, each with its keys.
func CheckKeys(changed app.Keys) error {
	_, err := newKeys(changed)
	return err
}

func actions(groups []group) (names []string) {
	for _, g := range groups {
		for _, b := range g.bindings {
			names = append(names, string(b.action))
		}
	}
	return names
}

func (k *keys) binding(a action) *binding {
	for g := range k.groups {
		for i := range k.groups[g].bindings {
			if b := &k.groups[g].bindings[i]; b.action == a {
				return b
			}
		}
	}
	return &binding{}
}

// name returns the first key of an action, as people write it.
func (k *keys) name(a action) string {
	if b := k.binding(a); len(b.keys) > 0 {
		return pretty(b.keys[0])
	}
	return "/" + string(a)
}

var keyNames = []string{
	"up", "down", "left", "right", "home", "end", "pgup", "pgdown", "insert", "delete", "backspace", "tab", "enter", "esc", "space",
	"f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12",
}

var otherNames = map[string]string{
	"pageup": "pgup", "page-up": "pgup", "pagedown": "pgdown", "page-down": "pgdown", "pgdn": "pgdown", "return": "enter", "escape": "esc",
	"del": "delete", "ins": "insert", "control": "ctrl", "meta": "alt", "option": "alt", "c": "ctrl", "m": "alt", "s": "shift",
}

// keyName takes a key as people write it (Ctrl+K, alt-a, PgUp) and returns Bubble Tea's
// name of it.
func keyName(s string) (string, error) {
	parts := strings.FieldsFunc(strings.ToLower(strings.TrimSpace(s)), func(r rune) bool { return r == '+' || r == '-' })
	if len(parts) == 0 {
		return "", fmt.Errorf("%q is not a key; write it like alt+a, ctrl+k or pgup", s)
	}
	mods := map[string]bool{}
	for _, p := range parts[:len(parts)-1] {
		if o, ok := otherNames[p]; ok {
			p = o
		}
		if p != "ctrl" && p != "alt" && p != "shift" {
			return "", fmt.Errorf("%q is not a key; before the last + stand ctrl, alt and shift", s)
		}
		mods[p] = true
	}
	key := parts[len(parts)-1]
	if o, ok := otherNames[key]; ok && utf8.RuneCountInString(key) > 1 {
		key = o
	}
	single := utf8.RuneCountInString(key) == 1
	switch {
	case !single && !slices.Contains(keyNames, key):
		return "", fmt.Errorf("%q is not a key; write it like alt+a, ctrl+k or pgup", s)
	case (single || key == "space") && !mods["ctrl"] && !mods["alt"]:
		return "", fmt.Errorf("%q is needed for writing; put ctrl+ or alt+ before it", s)
	}
	var name []string
	for _, mod := range []string{"ctrl", "alt", "shift"} {
		if mods[mod] {
			name = append(name, mod)
		}
	}
	return strings.Join(append(name, key), "+"), nil
}

// pretty writes a key as it stands on keyboards.
func pretty(key string) string {
	parts := strings.Split(key, "+")
	for i, p := range parts {
		switch p {
		case "pgup":
			p = "PgUp"
		case "pgdown":
			p = "PgDn"
		default:
			if r, n := utf8.DecodeRuneInString(p); n > 0 {
				p = strings.ToUpper(string(r)) + p[n:]
			}
		}
		parts[i] = p
	}
	return strings.Join(parts, "+")
}
