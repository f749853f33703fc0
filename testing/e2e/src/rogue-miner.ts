import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import type { ChainClient, ChainError } from '@cumulus/chain'
import {
  blockBytes,
  blockCount,
  challengeOver,
  decodeEntries,
  type PodrParams,
  ProofBuilder,
  TAG_BYTES,
  tagsOfSeat,
  trustedDecodePowers,
} from '@cumulus/podr2'
import { sleep } from '@cumulus/service'
import { seat as seatNumber } from '@cumulus/types'
import { patiently, type WrittenStripe } from './proof-network.ts'

/** What a miner that cheats has in its hands: everything, so that nothing but its will makes it cheat. */
export interface Loot {
  readonly stripes: readonly WrittenStripe[]
  /** Tags of all seats, by `group/stripe`. */
  readonly tags: ReadonlyMap<string, Uint8Array>
  readonly powers: Uint8Array
  readonly podr: PodrParams
  readonly seatCount: number
  readonly fragmentBytes: number
}

/**
 * - `drops`: answers with zeros where it has dropped stripes (`dropped`)
 * - `borrows`: answers with data and tags of the next seat
 * - `replays`: answers everything with the first proof that passed
 * - `late`: answers rightly, when the window is over
 */
export type Misdeed = 'drops' | 'borrows' | 'replays' | 'late'

/**
 * Chain blocks count whole seconds, and a window is over in the second after its last one. The first chain block of that second also
 * says that nobody has answered: so whoever wants to be told TooLate has to be in it. A transaction shortly before, good
 * or bad, makes a chain block, and the next empty one waits for a second.
 */
const BEFORE_MS = 600
const LATE_MS = 1_020
/** Not estimated, which takes time. */
const LATE_GAS = 3_000_000n
const ZERO_SEED = `0x${'0'.repeat(64)}` as const

/** A miner that answers challenges in its own way, with the account and the seats of one that did its work before. */
export class RogueMiner {
  readonly #chain: ChainClient
  /** Why a transaction was reverted. */
  readonly #explain: (transactionHash: string) => Promise<string>
  readonly #loot: Loot
  readonly #misdeed: Misdeed
  readonly #dropped: ReadonlySet<string>
  #first: Uint8Array | undefined
  /** Codes of what the chain refused. */
  readonly refusals: string[] = []

  constructor(
    chain: ChainClient,
    explain: (transactionHash: string) => Promise<string>,
    loot: Loot,
    misdeed: Misdeed,
    dropped: readonly WrittenStripe[] = [],
  ) {
    this.#chain = chain
    this.#explain = explain
    this.#loot = loot
    this.#misdeed = misdeed
    this.#dropped = new Set(dropped.map(({ group, stripe }) => `${group}/${stripe}`))
  }

  async run(signal: AbortSignal): Promise<void> {
    const args = { miner: this.#chain.account }
    try {
      for await (const event of this.#chain.events('Audit', 'Challenged', { args, signal })) {
        const { seed, entries, deadlineMs } = event.args
        const proof = await patiently(() => this.#proof(hexToBytes(seed), hexToBytes(entries)))
        const isLate = this.#misdeed === 'late'
        if (isLate) await this.#beLate(Number(deadlineMs), signal)
        const init = { signal, gas: isLate ? LATE_GAS : undefined }
        try {
          await this.#chain.send('Audit', 'submitProof', [seed, entries, 0n, bytesToHex(proof)], init)
        } catch (error) {
          signal.throwIfAborted()
          const { transactionHash, errorName, message } = error as Partial<ChainError> & Error
          // What is refused before it is sent has no transaction.
          const why = transactionHash ? await patiently(() => this.#explain(transactionHash)) : errorName
          this.refusals.push(why ?? message)
        }
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  async #beLate(deadlineMs: number, signal: AbortSignal): Promise<void> {
    await sleep(Math.max(0, deadlineMs - Date.now() + BEFORE_MS), signal)
    const nothing = this.#chain.send('Audit', 'submitProof', [ZERO_SEED, '0x', 0n, '0x'], { signal, gas: LATE_GAS })
    nothing.catch(() => undefined) // it is refused
    await sleep(Math.max(0, deadlineMs - Date.now() + LATE_MS), signal)
  }

  async #proof(seed: Uint8Array, entries: Uint8Array): Promise<Uint8Array> {
    if (this.#misdeed === 'replays' && this.#first) return this.#first
    const { stripes, tags, powers, podr, seatCount, fragmentBytes } = this.#loot
    const count = blockCount(fragmentBytes, podr)
    const places = []
    for (const entry of decodeEntries(entries))
      places.push({ ...entry, seat: seatNumber(await this.#seat(entry.group)) })
    const challenge = challengeOver(seed, places, podr)
    const builder = new ProofBuilder(challenge)
    challenge.entries.forEach(({ group, stripe, seat, block }, i) => {
      const name = `${group}/${stripe}`
      const from = this.#misdeed === 'borrows' ? (seat + 1) % seatCount : seat
      const fragment = stripes.find((one) => one.group === group && one.stripe === stripe)!.fragments[from]!
      const size = blockBytes(podr)
      const data = fragment.subarray(block * size, (block + 1) * size)
      const own = tagsOfSeat(tags.get(name)!, seatNumber(from), seatCount)
      if (own.length !== count * TAG_BYTES) throw new Error('tags of another length')
      const isGone = this.#dropped.has(name)
      builder.add(
        i,
        isGone ? new Uint8Array(data.length) : data,
        own.subarray(block * TAG_BYTES, (block + 1) * TAG_BYTES),
      )
    })
    const proof = builder.finish(trustedDecodePowers(powers, podr.sectorCount))
    this.#first ??= proof
    return proof
  }

  async #seat(group: number): Promise<number> {
    const { members } = await this.#chain.read('Storage', 'groupOf', [group])
    return members.findIndex((member) => member.toLowerCase() === this.#chain.account.toLowerCase())
  }
}
