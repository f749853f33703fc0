/** A line of the law, wrong in the way a tired engineer gets it wrong. */
export interface Mutation {
  /** File of the repository. */
  readonly file: string
  /** Occurs exactly once there. */
  readonly find: string
  readonly replace: string
}

/**
 * Controls: a simulator that finds nothing proves nothing until it finds these. Each is an edit of the source text, made
 * while a worker loads it, so that the product carries no switches for it.
 */
export const MUTATIONS = {
  /** Quorums of n-f-1 need not share an honest member. */
  'quorum one less': {
    file: 'protocol/r2s/src/committee.ts',
    find: 'const quorum = size - faultCount\n',
    replace: 'const quorum = size - faultCount - 1\n',
  },
  /** A block votes for whichever twin of its cone the node at hand met first. */
  'vote not unique': {
    file: 'protocol/r2s/src/support.ts',
    find: 'if (voteOf(voter, author, size, waveLength) === candidate) votes++',
    replace: `{
        const stack = [voter]
        const seen = new Set(stack)
        for (let at = stack.pop(); at; at = stack.pop()) {
          if (at === candidate) { votes++; break }
          for (const p of at.parents) if (p.round >= candidate.round && !seen.has(p)) { seen.add(p); stack.push(p) }
        }
      }`,
  },
  /** A slot is skipped as soon as one twin has no support. */
  'skip by twin': {
    file: 'protocol/r2s/src/commit-rule.ts',
    find: 'if (memberCount(wave.blame[author]!) >= this.#quorum) {',
    replace: `if (memberCount(wave.blame[author]!) >= this.#quorum || this.#dag.slot(wave.round, author).some((twin) => {
      let against = 0
      for (let a = 0; a < this.#size; a++) {
        const voter = this.#dag.slot(wave.round + this.#waveLength - 2, a)[0]
        if (voter && voteOf(voter, author, this.#size, this.#waveLength) !== twin) against++
      }
      return against >= this.#quorum
    })) {`,
  },
  /** The anchor is the first committed slot, whatever is undecided before it. */
  'anchor past the undecided': {
    file: 'protocol/r2s/src/commit-rule.ts',
    find: 'if (wave.status[k] === UNDECIDED) return null\n',
    replace: '',
  },
  /** A block is sent before it is durable. */
  'send before fsync': {
    file: 'protocol/r2s/src/own-blocks.ts',
    find: "m.effects.push({ kind: 'persist', block })",
    replace: `m.effects.push({ kind: 'persist', block })
  m.effects.push({ kind: 'broadcast', message: { kind: 'block', block } })`,
  },
  /** Each node collects garbage below what it has seen, not below what is committed. */
  'gc from the local round': {
    file: 'protocol/r2s/src/output.ts',
    find: 'gcRound = Math.max(gcRound, leader.round - m.config.params.gcDepthRounds)',
    replace: 'gcRound = Math.max(gcRound, m.dag.highestRound - m.config.params.gcDepthRounds)',
  },
  /** Whoever lost its log goes on as if it had never signed anything. */
  'no inquiry after loss': {
    file: 'protocol/r2s/src/consensus.ts',
    find: "if (start.kind === 'lost' && this.#m.committee.size > 1) {",
    replace: 'if (start === null) {',
  },
  /** Of each author only the newest block is looked at: what stands beside its chain is left out for ever. */
  'given up, not cited': {
    file: 'protocol/r2s/src/parents.ts',
    find: 'if (vertex.mark === cited && !(m.equivocators & (1 << author))) continue\n',
    replace: '',
  },
  /** What will never be in the order is forgotten. */
  'given up, not returned': {
    file: 'protocol/r2s/src/output.ts',
    find: 'giveBack(m, { payload, txCount: header.txCount })',
    replace: '',
  },
  /** Whoever missed a share that it needs waits for it for ever. */
  'coin not asked for': {
    file: 'protocol/r2s/src/coin-asking.ts',
    find: "send(m, peer, { kind: 'ask-coins', rounds })",
    replace: '',
  },
  /** A coin is whatever somebody says it is. */
  'coin not verified': {
    file: 'protocol/r2s/src/coin-asking.ts',
    find: 'if (isRight) learnCoin',
    replace: 'if (shown) learnCoin',
  },
  /** The sum of votes is believed as it is. */
  'certificate not verified': {
    file: 'protocol/certificate/src/vote-collector.ts',
    find: 'if (!this.#bls.fastAggregateVerify(signature, voteMessage({ chainId, era, height, headerHash }), keys)) {',
    replace: 'if (keys.length === 0) {',
  },
  /** One vote makes a certificate. */
  'certificate without quorum': {
    file: 'protocol/certificate/src/vote-collector.ts',
    find: 'agreeing.length < this.#committee.quorum',
    replace: 'agreeing.length < 1',
  },
} as const satisfies Record<string, Mutation>

export type MutationName = keyof typeof MUTATIONS
