import type { Vertex } from './dag.ts'

/**
 * SPEC 2.7, support(b, a, r): the one block of author a in round r that a block b with these parents stands behind,
 * for the w-2 rounds below b. It is fixed by b alone: two nodes that hold b hold the same table. A cone can contain both of
 * two twins, so a vote that were not unique would let both be certified.
 *
 *   a parent at (a, r) wins; otherwise the first support among the parents in their listed order.
 *
 * Row i is round `round - 1 - i`; within a row, by author. Costs (w-2) × n × parents reads, once per block.
 */
export function supportTable(
  parents: readonly Vertex[],
  round: number,
  size: number,
  waveLength: number,
): (Vertex | null)[] {
  const rows = waveLength - 2
  const table: (Vertex | null)[] = new Array(rows * size).fill(null)
  for (const parent of parents) {
    const row = round - 1 - parent.round
    if (row < rows) table[row * size + parent.author] = parent
  }
  for (const parent of parents) {
    const shift = round - parent.round
    const inherited = parent.support
    if (inherited.length === 0) continue // genesis
    for (let i = shift * size, j = 0; i < rows * size; i++, j++) table[i] ??= inherited[j]!
  }
  return table
}

/**
 * SPEC 2.7, vote: what a block of the voting round stands behind in the leader round w-2 below, by author. null is blame.
 */
export function voteOf(voter: Vertex, author: number, size: number, waveLength: number): Vertex | null {
  return voter.support[(waveLength - 3) * size + author] ?? null
}

/**
 * SPEC 2.7, cert: by author a, the block of a that at least `quorum` parents of the decision block vote for. Parents of one
 * round have distinct authors and each votes once, so there is at most one.
 */
export function certificates(
  parents: readonly Vertex[],
  round: number,
  size: number,
  quorum: number,
  waveLength: number,
): (Vertex | null)[] {
  const voters = parents.filter((parent) => parent.round === round - 1)
  const certs: (Vertex | null)[] = new Array(size).fill(null)
  if (voters.length < quorum) return certs
  for (let author = 0; author < size; author++) {
    // The candidate changes only where twins split the voters.
    for (let i = 0; i + quorum <= voters.length; i++) {
      const candidate = voteOf(voters[i]!, author, size, waveLength)
      if (candidate === null) continue
      let votes = 0
      for (const voter of voters) if (voteOf(voter, author, size, waveLength) === candidate) votes++
      if (votes >= quorum) {
        certs[author] = candidate
        break
      }
    }
  }
  return certs
}
