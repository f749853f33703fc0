import type { ConsensusGauges } from '../src/consensus/consensus-metrics.ts'

/** For metrics of which nobody reads the gauges. */
export const noGauges: ConsensusGauges = {
  round: 0,
  decidedRound: 0,
  certifiedHeight: 0n,
  logBytes: 0,
  waitingCommits: 0,
  waitingCommitBytes: 0,
  equivocators: 0,
  members: [],
}
