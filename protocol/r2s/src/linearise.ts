import { compareBytes } from '@cumulus/bytes'
import type { Vertex } from './dag.ts'

/**
 * SPEC 2.7, linearise: the blocks in the cone of a committed leader that no earlier leader brought, above `gcRound`,
 * by round, then by the place the coin of the leader's round gave their author, then by digest. Marks them as output.
 */
export function linearise(leader: Vertex, gcRound: number, order: Uint8Array): Vertex[] {
  if (leader.output) return []
  leader.output = true
  const found: Vertex[] = [leader]
  for (let i = 0; i < found.length; i++) {
    for (const parent of found[i]!.parents) {
      if (parent.output || parent.round <= gcRound) continue
      parent.output = true
      found.push(parent)
    }
  }
  if (found.length === 1) return found
  const place = new Uint8Array(order.length)
  for (let k = 0; k < order.length; k++) place[order[k]!] = k
  return found.sort(
    (a, b) => a.round - b.round || place[a.author]! - place[b.author]! || compareBytes(a.digest, b.digest),
  )
}
