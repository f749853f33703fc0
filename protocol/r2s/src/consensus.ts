import { DecodeError } from '@cumulus/bytes'
import { acceptAll, receive } from './acceptance.ts'
import type { Block } from './block.ts'
import type { RoundCoin } from './coin.ts'
import { askForCoins, coinsShown, coinVerified, restoreCoins, showCoins } from './coin-asking.ts'
import { coinArrived } from './coin-shares.ts'
import type { Committee } from './committee.ts'
import type { Dag } from './dag.ts'
import { R2sPanic } from './errors.ts'
import type { Checkpoint, R2sEffect, R2sEvent } from './events.ts'
import { ask, fetched, greet, greetMs, greetWhenQuiet, heard, hello, serve } from './fetching.ts'
import { isPeer, MemberState, refuse, send } from './member-state.ts'
import { decodeMessage, type Message } from './message.ts'
import { adopt, commitWave } from './output.ts'
import { advance, dueMs, nextRound, persisted, proposal } from './own-blocks.ts'
import { hasQuorumAt, stalledAtMs } from './parents.ts'
import type { R2sConfig, R2sStart } from './r2s-config.ts'
import { inquire, restore, tellNewest, toldNewest } from './recovery.ts'

export interface MemberSizes {
  /** Accepted blocks above `gcRound`. */
  readonly blocks: number
  /** Blocks that wait for ancestors or for their time, and ancestors that are asked for. */
  readonly parked: number
  readonly wanted: number
  /** Digests of invalid blocks. */
  readonly refused: number
  /** Rounds whose coin is not known, but shares of it are. */
  readonly coins: number
  /** Coins that are kept for others, and such as others showed and are not verified. */
  readonly knownCoins: number
  readonly shownCoins: number
  /** Blocks in the order, above `gcRound`. */
  readonly output: number
}

/**
 * One member of the committee (SPEC 2): takes an event, returns what should happen. Reads no clock, draws no random
 * number and does no IO; equal events give equal effects.
 */
export class R2s {
  readonly #m: MemberState

  /** @throws RangeError if the parameters do not fit */
  constructor(config: R2sConfig) {
    this.#m = new MemberState(config)
  }

  get committee(): Committee {
    return this.#m.committee
  }

  get dag(): Dag {
    return this.#m.dag
  }

  /** Round of the newest own block that may have been seen by others. */
  get lastOwnRound(): number {
    return this.#m.lastOwnRound
  }

  /** Rounds below are decided. */
  get decidedRound(): number {
    return this.#m.rule.firstUndecidedRound - 1
  }

  get gcRound(): number {
    return this.#m.dag.gcRound
  }

  get halted(): boolean {
    return this.#m.halted
  }

  /** Whether the member still asks what it signed before it lost its log. */
  get inquiring(): boolean {
    return this.#m.inquiry !== null
  }

  /** Mask of members known here to have signed two blocks of one round. */
  get equivocators(): number {
    return this.#m.equivocators
  }

  /** Blocks waiting for ancestors or their time. */
  get parkedCount(): number {
    return this.#m.parking.size
  }

  /** How much it keeps of everything that could grow. */
  get sizes(): MemberSizes {
    const { dag, parking, invalid, coins, knownCoins, shownCoins, output } = this.#m
    return {
      blocks: dag.blockCount,
      parked: parking.size,
      wanted: parking.wantCount,
      refused: invalid.size,
      coins: coins.size,
      knownCoins: knownCoins.size,
      shownCoins: shownCoins.size,
      output: output.length,
    }
  }

  /** Call once, before the first event. Commits that the log holds are told again. */
  start(start: R2sStart, nowMs: number): R2sEffect[] {
    this.#m.nowMs = nowMs
    this.#m.movedAtMs = nowMs
    this.#m.silent = start.isSilenced ?? false
    heard(this.#m)
    return this.#run(() => {
      if (start.kind === 'lost' && this.#m.committee.size > 1) {
        this.#m.inquiry = { answered: 0, waiting: [], floor: 0, askAtMs: nowMs }
      }
      if (start.kind === 'log') {
        this.#m.restoring = true
        const blocks = [...start.blocks]
        if (start.checkpoint) adopt(this.#m, start.checkpoint, blocks)
        restoreCoins(this.#m, start.coins)
        for (const block of blocks) restore(this.#m, block)
        this.#m.restoring = false
      }
    })
  }

  step(event: R2sEvent): R2sEffect[] {
    if (this.#m.halted) return []
    this.#m.nowMs = Math.max(this.#m.nowMs, event.nowMs)
    return this.#run(() => {
      switch (event.kind) {
        case 'message':
          this.#message(event.from, event.message)
          return
        case 'frame':
          this.#frame(event.from, event.bytes)
          return
        case 'connected':
          this.#connected(event.peer)
          return
        case 'persisted':
          persisted(this.#m, event.round)
          return
        case 'proposal':
          proposal(this.#m, event.round, event)
          return
        case 'coin':
          coinArrived(this.#m, event.round, event.value, event.badShares)
          return
        case 'coin-verified':
          coinVerified(this.#m, event.round, event.isRight)
          return
        case 'work':
          this.#m.workPending = event.pending
          return
        case 'pressure':
          this.#m.pressure = event.high
          return
        case 'adopt':
          adopt(this.#m, event.checkpoint)
          return
        case 'tick':
          this.#m.wakeAtMs = Number.POSITIVE_INFINITY // even if the timer fired early: then another is asked for
          return
      }
    })
  }

  /** The start of a new, shorter log: this, then `coins()` and the blocks of `window()`. */
  checkpoint(): Checkpoint {
    return {
      round: this.#m.rule.firstUndecidedRound,
      gcRound: this.#m.dag.gcRound,
      output: [...this.#m.output],
      ejectedFrom: [...this.#m.ejectedFrom],
    }
  }

  /** Coins of rounds that are not decided, or not long ago. */
  coins(): RoundCoin[] {
    return Array.from(this.#m.knownCoins, ([round, value]) => ({ round, value }))
  }

  /** Accepted blocks above `gcRound`, parents before children. */
  window(): Block[] {
    return Array.from(this.#m.dag.window(), (vertex) => vertex.block!)
  }

  #run(handle: () => void): R2sEffect[] {
    this.#m.effects = []
    try {
      handle()
      this.#progress()
    } catch (error) {
      if (!(error instanceof R2sPanic)) throw error
      this.#m.halted = true
      this.#m.effects.push({ kind: 'halt', code: error.code, ...error.details })
    }
    return this.#m.effects
  }

  #progress(): void {
    for (const parked of this.#m.parking.release(this.#m.nowMs)) acceptAll(this.#m, parked)
    inquire(this.#m)
    this.#m.rule.decide()
    for (let wave = this.#m.rule.takeDecided(); wave; wave = this.#m.rule.takeDecided()) commitWave(this.#m, wave)
    advance(this.#m)
    ask(this.#m)
    askForCoins(this.#m)
    greetWhenQuiet(this.#m)
    this.#wake()
  }

  #frame(from: number, bytes: Uint8Array): void {
    if (!isPeer(this.#m, from)) {
      refuse(this.#m, from, 'NOT_A_MEMBER')
      return
    }
    try {
      this.#message(from, decodeMessage(bytes, this.#m.committee.size))
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      refuse(this.#m, from, 'MALFORMED')
    }
  }

  #message(from: number, message: Message): void {
    if (!isPeer(this.#m, from)) {
      refuse(this.#m, from, 'NOT_A_MEMBER')
      return
    }
    switch (message.kind) {
      case 'block':
        receive(this.#m, message.block, from, false)
        return
      case 'fetch':
        serve(this.#m, from, message.wanted, message.have)
        return
      case 'blocks':
        fetched(this.#m, from, message.blocks, message.gcRound)
        return
      case 'hello':
        hello(this.#m, from, message.round)
        return
      case 'ask-newest':
        tellNewest(this.#m, from)
        return
      case 'newest':
        toldNewest(this.#m, from, message.yours, message.mine)
        return
      case 'ask-coins':
        showCoins(this.#m, from, message.rounds)
        return
      case 'coins':
        coinsShown(this.#m, from, message.coins)
        return
    }
  }

  #connected(peer: number): void {
    if (!isPeer(this.#m, peer)) return
    greet(this.#m, peer)
    if (this.#m.inquiry) send(this.#m, peer, { kind: 'ask-newest' })
    // Before it signs, unasked: where all have lost their logs, what the first of them signs must not keep the others from it.
    if (this.#m.lastOwnRound === 0) tellNewest(this.#m, peer)
  }

  #wake(): void {
    let at = Number.POSITIVE_INFINITY
    if (!this.#m.isFollowing) at = Math.min(this.#m.parking.nextMs(), greetMs(this.#m), this.#m.coinAskAtMs)
    if (this.#m.inquiry) at = Math.min(at, this.#m.inquiry.askAtMs)
    else if (!this.#m.silent && this.#m.production.stage === 'idle') {
      const round = nextRound(this.#m)
      if (hasQuorumAt(this.#m, round - 1)) at = Math.min(at, dueMs(this.#m, round))
    } else if (this.#m.production.stage === 'building') {
      const stalled = stalledAtMs(this.#m, this.#m.production.round)
      if (stalled > this.#m.nowMs) at = Math.min(at, stalled)
    }
    if (at === Number.POSITIVE_INFINITY) return
    if (at <= this.#m.nowMs) at = this.#m.nowMs + 1
    if (this.#m.wakeAtMs > this.#m.nowMs && this.#m.wakeAtMs <= at) return
    this.#m.wakeAtMs = at
    this.#m.effects.push({ kind: 'wake', atMs: at })
  }
}
