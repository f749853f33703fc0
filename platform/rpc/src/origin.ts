import { isIP } from 'node:net'

/** Which web pages and host names may talk to the server. */
export interface AccessRules {
  /** Origins of web pages, such as `https://app.example`, or `*` for any. Nothing is kept in cookies, so `*` gives a page no more than curl has. */
  readonly corsOrigins: readonly string[]
  /** Names under which the server is reached, besides `localhost` and plain IP addresses; or `*`. */
  readonly hosts: readonly string[]
}

export const defaultAccess: AccessRules = { corsOrigins: ['*'], hosts: [] }

/**
 * Whether a request may have been meant for us. A page that has its own name resolve to 127.0.0.1 (DNS rebinding)
 * comes with that name in `Host`.
 */
export function isKnownHost(host: string | undefined, rules: AccessRules): boolean {
  if (rules.hosts.includes('*')) return true
  // HTTP/1.1 requires it; a client without it is no browser.
  if (host === undefined) return true
  let name: string
  try {
    name = new URL(`http://${host}`).hostname
  } catch {
    return false
  }
  const bare = name.replace(/^\[|\]$/g, '')
  return isIP(bare) !== 0 || bare === 'localhost' || bare.endsWith('.localhost') || rules.hosts.includes(bare)
}

/** Value for Access-Control-Allow-Origin, or undefined if a page of that origin may not read us. */
export function allowedOrigin(origin: string | undefined, rules: AccessRules): string | undefined {
  if (rules.corsOrigins.includes('*')) return '*'
  return origin !== undefined && rules.corsOrigins.includes(origin) ? origin : undefined
}
