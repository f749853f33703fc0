import { concatBytes, equalBytes, utf8Encode } from '@cumulus/bytes'
import { sha256 } from '@cumulus/hash'
import { Ed25519Key, verifyEd25519 } from '@cumulus/signature'
import { R2s } from '../src/consensus.ts'
import type { Commit, R2sEffect, R2sEvent } from '../src/events.ts'
import type { R2sConfig } from '../src/r2s-config.ts'
import { defaultR2sParams, type R2sParams } from '../src/r2s-params.ts'

const KEYS = Array.from({ length: 16 }, (_, i) => new Ed25519Key(sha256(utf8Encode(`member ${i}`))))

/** Not a signature, but cheap. */
function sealOf(author: number, message: Uint8Array): Uint8Array {
  const half = sha256(concatBytes(Uint8Array.of(author), message))
  return concatBytes(half, half)
}

/** A member's configuration with real Ed25519 and the public coin. */
export function configOf(member: number, size: number, params: Partial<R2sParams> = {}): R2sConfig {
  return {
    chainId: 7n,
    era: 1,
    eraAnchor: new Uint8Array(32).fill(1),
    committeeSize: size,
    member,
    params: { ...defaultR2sParams(size), minRoundMs: 1, ...params },
    coin: { mode: 'public', seed: new Uint8Array(32) },
    sign: (message) => KEYS[member]!.sign(message),
    verify: (author, message, signature) => verifyEd25519(signature, message, KEYS[author]!.publicKey),
  }
}

/**
 * The smallest network there is: messages arrive after a delay of a linear congruential generator, disks are perfect. The
 * simulator in testing/sim does this in earnest; here it lets the core be tested beside its own package.
 */
export class SmallNetwork {
  readonly members: R2s[]
  readonly commits: Commit[][]
  readonly effects: R2sEffect[] = []
  readonly down = new Set<number>()
  nowMs = 0
  #queue: { atMs: number; order: number; run: () => void }[] = []
  #order = 0
  readonly #isLinked = new Set<number>()
  readonly #arrivedMs = new Map<number, number>()
  #random: number

  /** Whether blocks have contents. */
  talk: boolean

  /** @param cheap blocks are sealed, not signed */
  constructor(
    size: number,
    seed: number,
    params: Partial<R2sParams> = {},
    talk = true,
    cheap = false,
    start: 'fresh' | 'lost' = 'fresh',
  ) {
    this.#random = seed
    this.talk = talk
    const seals = {
      verify: (author: number, message: Uint8Array, signature: Uint8Array) =>
        equalBytes(sealOf(author, message), signature),
    }
    this.members = Array.from({ length: size }, (_, member) => {
      const config = configOf(member, size, params)
      return new R2s(cheap ? { ...config, ...seals, sign: (message) => sealOf(member, message) } : config)
    })
    this.commits = this.members.map(() => [])
    // Who starts as new has been connected before.
    if (start === 'fresh') for (let link = 0; link < size * size; link++) this.#isLinked.add(link)
    this.members.forEach((member, i) => {
      this.#apply(i, member.start({ kind: start }, 0))
    })
    if (start === 'lost') this.#connectAll()
  }

  step(member: number, event: R2sEvent): void {
    if (!this.down.has(member)) this.#apply(member, this.members[member]!.step(event))
  }

  /** Lets time pass until `done` or `untilMs`. */
  run(untilMs: number, done: () => boolean = () => false): void {
    while (this.#queue.length > 0 && !done()) {
      this.#queue.sort((a, b) => a.atMs - b.atMs || a.order - b.order)
      if (this.#queue[0]!.atMs > untilMs) return
      const next = this.#queue.shift()!
      this.nowMs = next.atMs
      next.run()
    }
  }

  #connectAll(): void {
    this.members.forEach((_, i) => {
      for (let peer = 0; peer < i; peer++) {
        this.#later(this.#delay(), () => {
          this.#isLinked.add(i * this.members.length + peer).add(peer * this.members.length + i)
          this.step(i, { kind: 'connected', peer, nowMs: this.nowMs })
          this.step(peer, { kind: 'connected', peer: i, nowMs: this.nowMs })
        })
      }
    })
  }

  #later(delayMs: number, run: () => void): void {
    this.#queue.push({ atMs: this.nowMs + delayMs, order: this.#order++, run })
  }

  #delay(): number {
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0
    return 1 + (this.#random / 2 ** 32) * 20
  }

  #apply(member: number, effects: readonly R2sEffect[]): void {
    const step = (event: R2sEvent): void => this.step(member, { ...event, nowMs: this.nowMs })
    for (const effect of effects) {
      this.effects.push(effect)
      if (effect.kind === 'persist') {
        const { round } = effect.block.header
        this.#later(0.1, () => step({ kind: 'persisted', round, nowMs: 0 }))
      }
      if (effect.kind === 'propose') {
        const contents = { payload: new Uint8Array(this.talk ? 1 : 0), txCount: 0, votes: [], coinShare: null }
        this.#later(0, () => step({ kind: 'proposal', round: effect.round, ...contents, nowMs: 0 }))
      }
      if (effect.kind === 'wake') this.#later(effect.atMs - this.nowMs, () => step({ kind: 'tick', nowMs: 0 }))
      if (effect.kind === 'commit') this.commits[member]!.push(effect.commit)
      if (effect.kind === 'send' || effect.kind === 'broadcast') {
        for (let to = 0; to < this.members.length; to++) {
          if (to === member || (effect.kind === 'send' && effect.to !== to)) continue
          const { message } = effect
          // In their order, as over one connection.
          const link = member * this.members.length + to
          if (!this.#isLinked.has(link)) continue
          const atMs = Math.max(this.nowMs + this.#delay(), this.#arrivedMs.get(link) ?? 0)
          this.#arrivedMs.set(link, atMs)
          this.#later(atMs - this.nowMs, () =>
            this.step(to, { kind: 'message', from: member, message, nowMs: this.nowMs }),
          )
        }
      }
    }
  }
}
