import { type BlockRef, committeeOf, leaderOrder, type Message, memberCount, publicCoin } from '@cumulus/r2s'

interface Held {
  readonly member: number
  readonly votingRound: number
  readonly deliver: () => void
}

/**
 * The scheduler of section 7 of the design: holds back the blocks of leaders until a quorum has voted without them, at most f
 * members at a time, for more could stop any committee. It goes by the public coin, so it knows the leaders where that is the
 * committee's coin, and guesses where it is not.
 */
export class LeaderStarver {
  readonly #size: number
  readonly #waveLength: number
  readonly #seed: Uint8Array
  readonly #quorum: number
  readonly #faultCount: number
  readonly #first: number[] = []
  /** By round: members that have built their block of it. */
  readonly #built: number[] = []
  /** By round: whether its leader is starved. */
  readonly #starved = new Map<number, boolean>()
  #held: Held[] = []

  constructor(size: number, waveLength: number, seed: Uint8Array) {
    this.#size = size
    this.#waveLength = waveLength
    this.#seed = seed
    const { quorum, faultCount } = committeeOf(size)
    this.#quorum = quorum
    this.#faultCount = faultCount
  }

  /** Takes the delivery over, and returns true, if the message brings a block that is being starved. */
  holds(message: Message, deliver: () => void): boolean {
    for (const { header } of carried(message)) {
      const votingRound = this.#starvedUntil(header)
      if (votingRound === null) continue
      this.#held.push({ member: header.author, votingRound, deliver })
      return true
    }
    return false
  }

  /** A member has built its block of this round: what waited for the votes of it may go. */
  built(member: number, round: number): void {
    this.#built[round] = (this.#built[round] ?? 0) | (1 << member)
    this.#release(({ votingRound }) => !this.#isOpen(votingRound))
  }

  /** The network becomes calm. */
  end(): void {
    this.#release(() => true)
  }

  #release(isDue: (held: Held) => boolean): void {
    const due = this.#held.filter(isDue)
    if (due.length === 0) return
    this.#held = this.#held.filter((held) => !isDue(held))
    for (const { deliver } of due) deliver()
  }

  #isOpen(votingRound: number): boolean {
    return memberCount(this.#built[votingRound] ?? 0) < this.#quorum
  }

  #starvedUntil({ author, round }: { author: number; round: number }): number | null {
    const votingRound = round + this.#waveLength - 2
    if (this.#leader(round) !== author || !this.#isOpen(votingRound)) return null
    let starved = this.#starved.get(round)
    if (starved === undefined) {
      const victims = new Set(this.#held.map(({ member }) => member)).add(author)
      starved = victims.size <= this.#faultCount
      this.#starved.set(round, starved)
    }
    return starved ? votingRound : null
  }

  #leader(round: number): number {
    return (this.#first[round] ??= leaderOrder(publicCoin(this.#seed, round), this.#size)[0]!)
  }
}

function carried(message: Message): readonly { readonly header: Omit<BlockRef, 'digest'> }[] {
  if (message.kind === 'block') return [message.block]
  if (message.kind === 'blocks') return message.blocks
  return []
}
