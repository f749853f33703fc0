import {
  type Block,
  type BlockRef,
  COIN_SHARE_BYTES,
  type Header,
  refOf,
  sealBlock,
  signedMessage,
} from '../src/block.ts'
import type { CoinRule } from '../src/coin.ts'
import { R2s } from '../src/consensus.ts'
import type { R2sEffect } from '../src/events.ts'
import { encodeMessage, type Message } from '../src/message.ts'
import type { R2sParams } from '../src/r2s-params.ts'
import { configOf } from './members.ts'

/** A coin of which only the form of its shares matters: those that begin with 1 are points of the group. */
export const THRESHOLD_COIN: CoinRule = {
  mode: 'threshold',
  holders: 0x7fff_ffff,
  wellFormed: (share) => share[0] === 1,
}
export const WELL_FORMED_SHARE = new Uint8Array(COIN_SHARE_BYTES).fill(1)

/** Member 0 without a network, and blocks that the others really signed. */
export class LoneMember {
  readonly size: number
  readonly core: R2s
  readonly genesis: readonly BlockRef[]
  nowMs = 1000

  constructor(size = 4, params: Partial<R2sParams> = {}, coin?: CoinRule) {
    this.size = size
    const config = configOf(0, size, params)
    this.core = new R2s(coin ? { ...config, coin } : config)
    this.core.start({ kind: 'fresh' }, this.nowMs)
    this.genesis = this.core.dag.genesis.map((vertex) => vertex.ref)
  }

  /** A block of round 1 unless told otherwise; parents are this author's first, then the others by author. */
  sealed(author: number, change: Partial<Header> = {}, payload = new Uint8Array(3)): Block {
    const { genesis } = this
    const header = {
      chainId: 7n,
      era: 1,
      round: 1,
      author,
      tsMs: 1000,
      exposed: 0,
      parents: [genesis[author]!, ...genesis.filter((ref) => ref.author !== author)],
      coinShare: null,
      votes: [],
      evidence: null,
      txCount: 0,
      ...change,
    }
    return sealBlock(header, payload, configOf(author, this.size).sign)
  }

  /** A block upon these of the round before. */
  child(author: number, parents: readonly Block[], change: Partial<Header> = {}): Block {
    const own = parents.filter((parent) => parent.header.author === author)
    const others = parents.filter((parent) => parent.header.author !== author)
    const round = parents[0]!.header.round + 1
    return this.sealed(author, { round, parents: [...own, ...others].map(refOf), ...change })
  }

  /** What an author signs for a digest in a round. */
  signs(author: number, round: number, digest: Uint8Array): Uint8Array {
    return configOf(author, this.size).sign(signedMessage({ chainId: 7n, era: 1, round, author }, digest))
  }

  hear(message: Message, from = 1): R2sEffect[] {
    return this.core.step({ kind: 'message', from, message, nowMs: this.nowMs })
  }

  /** As bytes from member 1. */
  receive(...blocks: readonly Block[]): R2sEffect[] {
    return blocks.flatMap((block) => {
      const bytes = encodeMessage({ kind: 'block', block })
      return this.core.step({ kind: 'frame', from: 1, bytes, nowMs: this.nowMs })
    })
  }

  has(block: Block): boolean {
    return this.core.dag.find(refOf(block)) !== undefined
  }
}

export function refusals(effects: readonly R2sEffect[]): string[] {
  return effects.flatMap((effect) => (effect.kind === 'refuse' ? [effect.code] : []))
}
