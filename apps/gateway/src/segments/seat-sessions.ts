import { bytesToPlainHex } from '@cumulus/bytes'
import type { Session } from '@cumulus/network'

/** Where the sessions of a thread are found. */
export interface SeatSessions {
  /** The session with the least under way, or undefined if this miner is not connected. */
  of(peerKey: Uint8Array): Session | undefined
}

/** Sessions of one thread by peer. Miners dial; whoever is connected is here. */
export class PeerTable implements SeatSessions {
  readonly #sessions = new Map<string, Session[]>()
  readonly #onChange: (() => void) | undefined

  constructor(onChange?: () => void) {
    this.#onChange = onChange
  }

  add(session: Session): void {
    const key = bytesToPlainHex(session.peerKey)
    const list = this.#sessions.get(key)
    if (list) list.push(session)
    else this.#sessions.set(key, [session])
    this.#onChange?.()
    void session.closed.then(() => {
      const rest = (this.#sessions.get(key) ?? []).filter((other) => other !== session)
      if (rest.length > 0) this.#sessions.set(key, rest)
      else this.#sessions.delete(key)
      this.#onChange?.()
    })
  }

  of(peerKey: Uint8Array): Session | undefined {
    const list = this.#sessions.get(bytesToPlainHex(peerKey))
    if (!list || list.length === 0) return undefined
    let best = list[0]!
    for (const session of list) if (session.pendingCount < best.pendingCount) best = session
    return best
  }

  /** Peers with at least one session, as hex keys. */
  get peers(): string[] {
    return [...this.#sessions.keys()]
  }
}
