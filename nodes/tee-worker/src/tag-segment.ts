import { equalBytes } from '@cumulus/bytes'
import { CODEC_FFT_4_8, CODEC_VANDERMONDE, ErasureArena, ErasureCode } from '@cumulus/erasure'
import { blockBytes, type PodrParams, TAG_BYTES, type Tagger } from '@cumulus/podr2'
import { decodeDescriptor, fragmentIdOf, fragmentLength, segmentRoot } from '@cumulus/storage'
import { groupId, seat, stripeNumber } from '@cumulus/types'
import type { TagQuestion } from './tag-protocol.ts'

/**
 * Rebuilds all fragments of a segment from k of them and tags each, if they are exactly those that the chain has committed:
 * every fragment, parity too, must have the id that the descriptor names, and the descriptor the root.
 *
 * The chain does not know how long a segment is, and challenges blocks as if all fragments were full: what is not there counts
 * as zeros, and has tags too.
 *
 * Holds one arena, 96 MiB for fragments of 8 MiB, as long as segments of the same code come.
 */
export class SegmentTagger {
  readonly #tagger: Tagger
  readonly #params: PodrParams
  #arena: { readonly name: string; readonly arena: ErasureArena } | undefined

  constructor(tagger: Tagger, params: PodrParams) {
    this.#tagger = tagger
    this.#params = params
  }

  /** @returns undefined if the fragments are not those of one segment with this root */
  tag(question: Omit<TagQuestion, 'id'>): { tags: Uint8Array<ArrayBuffer>; taggedBytes: number } | undefined {
    const descriptor = decodeDescriptor(question.descriptor)
    if (!equalBytes(segmentRoot(descriptor), question.root)) return undefined
    const { codec, dataCount, fragmentIds, length } = descriptor
    if (codec !== CODEC_VANDERMONDE && codec !== CODEC_FFT_4_8) return undefined
    const seatCount = fragmentIds.length
    const fragmentBytes = fragmentLength(length, dataCount)
    const arena = this.#arenaFor(dataCount, seatCount, codec, fragmentBytes)
    arena.layOut(fragmentBytes)
    const present = question.fragments.map(({ seat, bytes }) => {
      arena.fragment(seat).set(bytes)
      return seat
    })
    const all = Array.from({ length: seatCount }, (_, i) => i)
    if (present.every((index) => index < dataCount)) arena.encode(fragmentBytes)
    else arena.rebuild(present, all)
    for (const index of all) if (!equalBytes(fragmentIdOf(arena.fragment(index)), fragmentIds[index]!)) return undefined
    const { blockCount } = question
    const size = blockBytes(this.#params)
    const tags = new Uint8Array(seatCount * blockCount * TAG_BYTES)
    const stripe = { group: groupId(question.group), stripe: stripeNumber(question.stripe) }
    for (let i = 0; i < seatCount * blockCount; i++) {
      const index = Math.floor(i / blockCount)
      const block = i % blockCount
      const data = arena.fragment(index).subarray(block * size, (block + 1) * size)
      tags.set(this.#tagger.tagBlock(data, { ...stripe, seat: seat(index), block }), i * TAG_BYTES)
    }
    return { tags, taggedBytes: seatCount * fragmentBytes }
  }

  #arenaFor(
    dataCount: number,
    seatCount: number,
    codec: typeof CODEC_VANDERMONDE | typeof CODEC_FFT_4_8,
    fragmentBytes: number,
  ): ErasureArena {
    const name = `${dataCount}/${seatCount}/${codec}`
    const known = this.#arena
    if (known?.name === name && known.arena.fragmentBytesMax >= fragmentBytes) return known.arena
    this.#arena = undefined // the old one may go before the new one comes
    const code = ErasureCode.create({ dataCount, parityCount: seatCount - dataCount, codec })
    this.#arena = { name, arena: new ErasureArena(code, fragmentBytes) }
    return this.#arena.arena
  }
}
