import { FrameOp, type Session } from '@cumulus/network'

/** Above this a member is not pushed to any longer: it will fetch what it lacks. */
const BYTES_MAX = 16 * 2 ** 20
const MESSAGES_MAX = 4_096
/** Answers awaited at a time. The session itself allows 64 requests, of whatever kind. */
const UNANSWERED_MAX = 32

/** Messages on their way to one member, in order. They are sent once and then forgotten, whether they arrive or not. */
export class Outbox {
  #session: Session | undefined
  #queue: Uint8Array[] = []
  #unanswered = 0
  #queuedBytes = 0
  #unansweredBytes = 0
  droppedCount = 0

  /** Queued and sent, not yet taken by the other side. */
  get bytes(): number {
    return this.#queuedBytes + this.#unansweredBytes
  }

  /** From now on by this session. What the one before had not sent is gone; whether it was another one. */
  use(session: Session | undefined): boolean {
    if (session === this.#session) return false
    this.#session = session
    this.#queue = []
    this.#queuedBytes = 0
    this.#unanswered = 0
    this.#unansweredBytes = 0
    return true
  }

  /** Whether a message has any chance: asked before it is encoded. One that has none counts as dropped. */
  hasRoom(): boolean {
    if (!this.#session) return false
    if (this.bytes < BYTES_MAX && this.#queue.length < MESSAGES_MAX) return true
    this.droppedCount++
    return false
  }

  push(bytes: Uint8Array): void {
    if (!this.#session) return
    if (this.bytes + bytes.length > BYTES_MAX || this.#queue.length >= MESSAGES_MAX) {
      this.droppedCount++
      return
    }
    this.#queue.push(bytes)
    this.#queuedBytes += bytes.length
    this.#pump()
  }

  #pump(): void {
    const session = this.#session
    while (session && this.#unanswered < UNANSWERED_MAX) {
      const body = this.#queue.shift()
      if (!body) return
      this.#queuedBytes -= body.length
      this.#unansweredBytes += body.length
      this.#unanswered++
      const done = () => {
        if (session !== this.#session) return
        this.#unanswered--
        this.#unansweredBytes -= body.length
        this.#pump()
      }
      // Refused or broken off: the order asks again for what it needs.
      session.request(FrameOp.dag, { body }).then(done, done)
    }
  }
}
