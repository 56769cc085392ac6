// What the server refuses, in words that say what to do.

const words = {
  origin_not_allowed: () => `The server refuses requests from this page. Start it with --allow-origin ${location.origin}, or have the proxy pass the Host header on.`,
  host_not_allowed: () => `The server does not know this host. Start it with --allow-host ${location.hostname}.`,
  reserved_key: () => 'Keys below locks/ are written by lock requests only.',
  lease_ended: () => 'The lease has ended.',
  disk_full: () => 'The disk of the server is full. Nothing was written.',
  client_memory_full: () => 'Clients take all the memory that the server has for them. Nothing was written.',
  memory_full: () => 'The memory of the server is full. Nothing was written.',
  outcome_unknown: () => 'The server does not know whether this was written. Look before you try again.',
  network: () => 'The server does not answer.',
}

/** explain says what an error means. The code stands behind, so that it can be looked up. */
export function explain(err) {
  if (!err.code) return err.message
  const what = words[err.code]?.() ?? err.detail ?? err.message ?? 'Refused'
  return `${what.charAt(0).toUpperCase()}${what.slice(1)} (${err.code})`
}
