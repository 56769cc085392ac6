// Editing by compare-and-swap: what is saved replaces the version that the edit began
// with, and no other. If the key changed meanwhile, both versions are shown. Nothing is
// written but what a person changed.

import { h, set, bytes, choose } from './dom.js'
import { explain } from './explain.js'
import { HEX_MAX, bytesOf, controls, ends, forms, formOf, fromField, same, textOf, toField } from './field.js'
import { Lifetime } from './lifetime.js'

const SHOWN = 2000 // lines of a version that is not edited

/** tooLong reports whether a value cannot be edited in a page. */
export const tooLong = value => typeof value !== 'string' && value.length > HEX_MAX

/** mayDiscard asks whether an edit may be lost. */
export async function mayDiscard(key) {
  const answer = await choose('Discard your changes?', h('p', {}, `Your changes to ${key} are not saved.`),
    [['discard', 'Discard', 'danger'], ['', 'Keep editing', '']])
  return answer === 'discard'
}

export class Editor {
  #kw; #key; #base; #box; #on; #area; #form; #was; #filled; #forms; #lifetime; #state; #save; #busy = false
  #theirs = null; #replace = null; #other = null; #stored = false

  /**
   * base is the entry that the edit begins with, null for a key that does not exist.
   * on.done is called when the edit is over, on.input when something was typed or
   * chosen. kept is what another editor said in kept().
   */
  constructor(kw, key, base, box, on, kept) {
    this.#kw = kw
    this.#key = key
    this.#base = base
    this.#box = box
    this.#on = on
    this.#build(kept)
  }

  /** over is the version that a save replaces, null where there is none. */
  get #over() { return this.#theirs ? this.#theirs.current : this.#base }

  get changed() {
    const over = this.#over
    if (this.#lifetime.changed) return true
    if (!over) return this.#area.value !== ''
    if (this.#was === over.value && this.#area.value === this.#filled) return false
    try {
      return !same(this.#read(), over.value)
    } catch {
      return true // half a byte
    }
  }

  /** kept returns all that another page needs to go on with the edit, null if nothing was changed. */
  kept() {
    if (!this.changed) return null
    const base = this.#base && { ...this.#base, form: formOf(this.#base.value), value: toText(this.#base.value) }
    return { base, form: this.#form, field: this.#area.value, choice: this.#lifetime.choice }
  }

  #build(kept) {
    const changed = () => this.#input()
    this.#area = h('textarea', { id: 'value', 'aria-label': 'New value', spellcheck: false, oninput: changed, onkeydown: e => this.#keys(e) })
    this.#forms = h('select', { 'aria-label': 'Edit as', onchange: () => this.#turn() }, Object.entries(forms).map(([value, label]) => h('option', { value }, label)))
    this.#lifetime = new Lifetime(this.#base, changed, kept?.choice)
    this.#state = h('p', { class: 'state', role: 'status' })
    this.#save = h('button', { id: 'save', class: 'primary', title: 'Save (Ctrl+Enter)', onclick: () => this.save() }, this.#base ? 'Save' : 'Create')
    const value = this.#base?.value ?? ''
    this.#fill(value, formOf(value))
    if (kept) this.#resume(kept)
    this.#area.rows = Math.min(20, Math.max(8, this.#area.value.split('\n').length + 1))
    this.#show([this.#area], [this.#save, h('button', { id: 'cancel', onclick: () => this.#cancel() }, 'Cancel')])
    this.#say(kept ? 'Your unsaved changes were restored.' : this.#hint())
    this.#input()
    this.#area.focus()
  }

  #fill(value, form) {
    this.#was = value
    this.#form = this.#forms.value = form
    this.#area.value = this.#filled = toField(value, form)
  }

  #resume({ form, field }) {
    this.#form = this.#forms.value = form
    this.#area.value = field
  }

  /** hint says what cannot be seen of a value. */
  #hint() {
    const value = this.#base?.value ?? ''
    if (typeof value !== 'string') return 'This value is not text: these are its bytes. To write text, empty the field and choose Text.'
    const end = ends(value), n = controls(value)
    if (n) return `${n} control character${n > 1 ? 's are' : ' is'} not visible here. Hexadecimal shows all bytes.`
    if (end === 'mixed') return 'The lines end in different ways. Lines that you do not change keep their ends.'
    return end ? `The lines end in ${end}, and will after you save.` : ''
  }

  /** odd reports whether text alone would hide something, so that other forms are offered. */
  #odd() {
    const value = this.#base?.value ?? ''
    return this.#form !== 'text' || typeof value !== 'string' || (ends(value) !== '' || controls(value) > 0) && value.length <= HEX_MAX
  }

  #show(middle, buttons) {
    this.#forms.hidden = !this.#odd()
    // What is said comes below the buttons, which must not move under a hand.
    this.#box.replaceChildren(...middle, h('div', { class: 'options' }, this.#forms, this.#lifetime.el), h('div', { class: 'actions' }, buttons), this.#state)
  }

  #keys(e) {
    const save = e.key === 'Enter' && (e.ctrlKey || e.metaKey)
    if (save && this.#theirs) this.#say('Choose below which version is kept.')
    else if (save) this.save()
    if (e.key === 'Escape' && !this.changed) this.#on.done()
    else return
    e.stopPropagation()
  }

  #input() {
    const idle = this.#busy || Boolean(this.#over) && !this.changed
    this.#save.disabled = idle
    if (this.#replace) this.#replace.disabled = idle
    this.#mark()
    this.#on.input()
  }

  /** turn shows the same bytes in another form. */
  #turn() {
    try {
      const value = this.#forms.value === 'text' ? textOf(this.#read()) : this.#read()
      if (value === null) throw new Error('These bytes are not text (UTF-8).')
      this.#fill(value, this.#forms.value)
      this.#say('')
    } catch (err) {
      this.#forms.value = this.#form
      this.#say(err.message, true)
    }
    this.#input()
  }

  #read() { return fromField(this.#area.value, this.#form, this.#was) }

  #say(message, bad = false) {
    this.#state.className = bad ? 'state bad' : 'state'
    set(this.#state, message)
  }

  async #cancel() {
    if (!this.changed || await mayDiscard(this.#key)) this.#on.done()
  }

  /** note tells that the key is another one than the edit began with. */
  note(e) {
    const known = this.#over
    if (this.#busy || (e.type === 'put' ? known?.rev === e.rev && same(known.value, e.value) : !known)) return
    const what = e.type === 'put' ? `Changed meanwhile: now version ${e.version}.` : `Deleted meanwhile${e.cause === 'expired' ? ': it expired' : e.cause === 'lease' ? ', with its lease' : ''}.`
    this.#say(`${what} ${this.#theirs ? 'You will see it before anything is replaced.' : 'You will see both before anything is replaced.'}`, true)
  }

  /** save writes over the version that the edit began with. */
  async save() {
    if (!this.#theirs && !this.#save.disabled) await this.#put(this.#base)
  }

  /** put writes over one version, or where there is no key. */
  async #put(over) {
    if (this.#busy) return
    this.#busy = true
    this.#input()
    try {
      const value = this.#read(), life = this.#lifetime.options()
      this.#say('Saving …')
      const result = await this.#kw.put(this.#key, value, { ...(over ? { ifMatch: over.etag } : { ifAbsent: true }), ...life })
      if (result.ok) return this.#on.done()
      await this.#refused(result, value)
    } catch (err) {
      if (err.code !== 'lease_ended' || !await this.#gone(over)) this.#say(explain(err), true)
    } finally {
      this.#busy = false
      this.#input()
    }
  }

  /** gone shows what became of a key whose lease has ended; false if it is what it was. */
  async #gone(over) {
    const current = await this.#kw.get(this.#key).catch(() => over)
    if (current?.etag === over?.etag) return false
    this.#conflict(current)
    return true
  }

  async #refused({ code, current, etag }, value) {
    if (code !== 'compare_failed') return this.#say(explain({ code }), true)
    // Values above 64 KiB are left out of the answer.
    if (current) current = current.value === undefined ? await this.#kw.get(this.#key) : { ...current, etag }
    // An answer that was lost may have been of this very write.
    if (current && same(current.value, value) && !this.#lifetime.changed) return this.#on.done()
    this.#conflict(current ?? null)
  }

  /** conflict shows the version that is there now beside what was typed. The button that overwrites it is not where Save was. */
  #conflict(current) {
    const pre = h('pre', { class: 'theirs', tabIndex: 0, 'aria-label': 'Stored value' })
    this.#theirs = { current, pre }
    this.#lifetime.follow(current)
    this.#other = null
    this.#stored = false
    this.#replace = h('button', { id: 'replace', class: 'danger far', onclick: () => this.#put(current) }, current ? 'Replace stored with yours' : 'Create it again with yours')
    const began = this.#base ? `You began with version ${this.#base.version}` : 'The key did not exist when you began'
    const now = current ? `now it is version ${current.version}` : 'now it does not exist'
    this.#show([
      h('p', { class: 'conflict', role: 'alert' }, h('strong', {}, 'The key changed while you edited it. '), `${began}; ${now}. Nothing was overwritten.`),
      h('div', { class: 'sides' },
        h('section', { 'aria-label': 'Stored' }, h('h3', {}, current ? `Stored, version ${current.version}` : 'Stored'), pre),
        h('section', { 'aria-label': 'Yours' }, h('h3', {}, 'Yours'), this.#area)),
    ], [
      current && !tooLong(current.value) && h('button', { id: 'copy', onclick: e => this.#swap(e.currentTarget) }, 'Start again from stored'),
      h('button', { id: 'take', onclick: () => this.#cancel() }, current ? 'Keep stored' : 'Leave it deleted'),
      this.#replace,
    ])
    this.#say('')
    this.#input()
    this.#area.focus()
  }

  /** swap puts the stored version into the field, or back what stood there. Neither is lost. */
  #swap(button) {
    const mine = { was: this.#was, form: this.#form, field: this.#area.value }
    if (this.#other) {
      this.#fill(this.#other.was, this.#other.form)
      this.#area.value = this.#other.field
    } else this.#fill(this.#theirs.current.value, formOf(this.#theirs.current.value))
    this.#other = mine
    this.#stored = !this.#stored
    set(button, this.#stored ? 'Back to yours' : 'Back to stored')
    this.#input()
    this.#area.focus()
  }

  /** mark shows which lines of the stored version yours does not have. */
  #mark() {
    if (!this.#theirs) return
    const { current, pre } = this.#theirs
    if (!current) return set(pre, '(deleted)')
    const mine = new Set(this.#area.value.split('\n')), form = formOf(current.value)
    const all = toField(form === 'text' ? current.value : current.value.subarray(0, HEX_MAX), form).split('\n')
    const left = all.length > SHOWN || tooLong(current.value) ? [`… ${bytes(bytesOf(current.value).length)} in all`] : []
    pre.replaceChildren(...all.slice(0, SHOWN).map(line => h('span', { class: mine.has(line) ? '' : 'differs' }, line + '\n')), ...left)
  }
}

/** toText and revive keep a value as text. */
const toText = value => typeof value === 'string' ? value : toField(value, 'hex')

/** revive returns the entry in what kept() returned. */
export const revive = ({ base }) => base && { ...base, value: base.form === 'text' ? base.value : fromField(base.value, 'hex') }
