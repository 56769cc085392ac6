// The line below the header for what a person should know. Each topic is told and
// withdrawn by its name; the last one told is shown.

import { $, h } from './dom.js'

const told = new Map()

/** notice tells a message, with a button if there is something to do; '' withdraws it. */
export function notice(topic, message, button, calm = false) {
  if (told.get(topic)?.message === (message || undefined)) return
  told.delete(topic)
  if (message) told.set(topic, { message, button, calm })
  const last = [...told.values()].at(-1)
  $('notice').hidden = !last
  $('notice').className = last?.calm ? 'notice calm' : 'notice'
  $('notice').replaceChildren(...last ? [h('span', {}, last.message), last.button ?? ''] : [])
}

/** say tells those who cannot see it what has just happened. */
export const say = message => { $('said').textContent = message }
