import { bytesToPlainHex } from '@cumulus/bytes'
import type { Session } from '@cumulus/network'

/** Sessions with miners, who dial. */
export class MinerSessions {
  readonly #sessions = new Map<string, Session[]>()

  add(session: Session): void {
    const key = bytesToPlainHex(session.peerKey)
    this.#sessions.set(key, [...(this.#sessions.get(key) ?? []), session])
    void session.closed.then(() => {
      const rest = (this.#sessions.get(key) ?? []).filter((other) => other !== session)
      if (rest.length > 0) this.#sessions.set(key, rest)
      else this.#sessions.delete(key)
    })
  }

  /** The newest session with this miner: an older one may be about to time out. */
  of(peerKey: Uint8Array): Session | undefined {
    return this.#sessions.get(bytesToPlainHex(peerKey))?.at(-1)
  }

  get peerCount(): number {
    return this.#sessions.size
  }
}
