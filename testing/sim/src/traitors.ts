import {
  type Block,
  type BlockRef,
  committeeOf,
  type Evidence,
  type Header,
  type R2s,
  type R2sParams,
  sealBlock,
  signedMessage,
} from '@cumulus/r2s'
import type { Random } from './random.ts'
import { standInSign } from './stand-ins.ts'

/** What a traitor has at hand when it lies. */
export interface Liar {
  readonly member: number
  readonly core: R2s
  readonly random: Random
  readonly size: number
  readonly params: R2sParams
}

function sealed({ member }: Liar, header: Omit<Header, 'payloadHash' | 'payloadBytes'>, payload: Uint8Array): Block {
  return sealBlock(header, payload, (message) => standInSign(member, message))
}

/** With what its cone exposes: so that it is valid with these parents too. */
function withParents({ core, params }: Liar, header: Header, parents: readonly BlockRef[]): Header {
  const vertices = parents.map((ref) => core.dag.find(ref)).filter((vertex) => vertex !== undefined)
  const exposed = core.dag.exposedBy(vertices, header.round, params.exposureDepthRounds)
  return { ...header, parents, exposed }
}

/** One or two other versions of a block, with other contents and fewer parents. */
export function versionsOf(liar: Liar, { header }: Block): Block[] {
  const { random, size } = liar
  const { quorum } = committeeOf(size)
  return Array.from({ length: 1 + random.below(2) }, () => {
    const parents = header.parents.filter((parent, j) => j === 0 || parent.round > 0 || random.chance(0.9))
    while (random.chance(0.6)) {
      const at = 1 + random.below(parents.length)
      const strongCount = parents.filter((parent) => parent.round === header.round - 1).length
      const parent = parents[at]
      if (parent && (parent.round < header.round - 1 || strongCount > quorum)) parents.splice(at, 1)
    }
    const changed = { ...withParents(liar, header, parents), tsMs: header.tsMs + random.below(2) }
    return sealed(liar, changed, random.bytes(4))
  })
}

/** A version that cites, beside the others, the oldest block of each member that may be cited. */
export function oldParentsOf(liar: Liar, { header }: Block): Block {
  const { core, params, size, member } = liar
  const strong = header.parents.filter((parent, i) => i === 0 || parent.round === header.round - 1)
  const old: BlockRef[] = []
  for (let author = 0; author < size; author++) {
    if (author === member) continue
    const lowest = Math.max(1, core.gcRound + 1, header.round - params.parentDepthRounds)
    for (let round = lowest; round < header.round - 1; round++) {
      const vertex = core.dag.slot(round, author)[0]
      if (!vertex) continue
      old.push(vertex.ref)
      break
    }
  }
  return sealed(liar, withParents(liar, header, [...strong, ...old]), new Uint8Array(1))
}

/** A valid block of a round to come, upon ancestors that nobody has: it is parked, and asked for in vain. */
export function orphanOf(liar: Liar, { header }: Block): Block {
  const { random, size, member } = liar
  const round = header.round + 2 + random.below(200)
  const others = Array.from({ length: size }, (_, author) => author).filter((author) => author !== member)
  const ref = (author: number, below: number): BlockRef => ({ author, round: round - below, digest: random.bytes(32) })
  const parents = [ref(member, 1), ...others.map((author) => ref(author, 1)), ...others.map((author) => ref(author, 2))]
  return sealed(liar, { ...header, round, parents, exposed: 0, evidence: null }, new Uint8Array(0))
}

/** The next block already, of a time that never comes. */
export function endlessOf(liar: Liar, { header }: Block): Block {
  const round = header.round + 1
  const parents = header.parents.map((ref) => (ref.round === 0 ? ref : { ...ref, round: ref.round + 1 }))
  return sealed(liar, { ...header, round, parents, tsMs: 2 ** 48 - 1, evidence: null }, new Uint8Array(0))
}

/** A version that proves, truly, that an accomplice signed two blocks of some round: another proof each time. */
export function accusing(liar: Liar, { header, payload }: Block, accomplice: number): Block {
  const { random } = liar
  const place = { chainId: header.chainId, era: header.era, round: 1 + random.below(header.round), author: accomplice }
  const [firstDigest, secondDigest] = [random.bytes(32), random.bytes(32)]
  const evidence: Evidence = {
    author: accomplice,
    round: place.round,
    firstDigest,
    firstSignature: standInSign(accomplice, signedMessage(place, firstDigest)),
    secondDigest,
    secondSignature: standInSign(accomplice, signedMessage(place, secondDigest)),
  }
  return sealed(liar, { ...header, evidence }, payload)
}

/** A block that is wrong in one place, or undefined where the layout has no way to say it. */
export function wrongBlock(liar: Liar, { header, payload, signature }: Block): Block | undefined {
  const { random, size } = liar
  const victim = random.below(size)
  const digest = random.bytes(32)
  const wrong = random.pick([
    { ...header, author: victim },
    { ...header, round: header.round + 5 + random.below(200) },
    { ...header, era: 2 },
    { ...header, parents: [...header.parents].reverse() },
    { ...header, parents: header.parents.slice(0, 1) },
    { ...header, parents: header.parents.map((parent, i) => (i === 1 ? { ...parent, digest } : parent)) },
    { ...header, coinShare: header.coinShare ? null : new Uint8Array(96) },
    { ...header, exposed: header.exposed ^ (1 << victim) },
    { ...header, tsMs: Math.max(0, header.tsMs - 1 - random.below(1000)) },
    {
      ...header,
      evidence: {
        author: victim,
        round: 1,
        firstDigest: digest,
        firstSignature: signature,
        secondDigest: header.payloadHash,
        secondSignature: signature,
      },
    },
  ])
  try {
    return sealed(liar, wrong, payload)
  } catch (error) {
    if (error instanceof RangeError) return undefined // a parent out of reach of the layout
    throw error
  }
}
