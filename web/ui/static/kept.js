// What outlives the page: in this browser, such as colours, or in this tab, such as an
// edit that is not saved. Where a browser keeps nothing, nothing is kept.

const shelf = storage => ({
  get(name) {
    try {
      return JSON.parse(storage().getItem(`keywatch:${name}`))
    } catch {
      return null
    }
  },
  /** set reports whether the value is kept; null takes it away. */
  set(name, value) {
    try {
      if (value === null) storage().removeItem(`keywatch:${name}`)
      else storage().setItem(`keywatch:${name}`, JSON.stringify(value))
      return true
    } catch {
      return false // private, or full
    }
  },
})

export const inBrowser = shelf(() => localStorage)
export const inTab = shelf(() => sessionStorage)
