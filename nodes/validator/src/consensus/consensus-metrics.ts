import { Counter, Gauge, Histogram, type Metrics } from '@cumulus/service'

/** What the gauges show, read when somebody asks. */
export interface ConsensusGauges {
  readonly round: number
  readonly decidedRound: number
  readonly certifiedHeight: bigint
  readonly logBytes: number
  readonly waitingCommits: number
  readonly waitingCommitBytes: number
  readonly equivocators: number
  /** By seat: rounds behind the highest one, bytes that wait for it. */
  readonly members: readonly { readonly lag: number; readonly waitingBytes: number; readonly connected: boolean }[]
}

const LATENCY_BUCKETS = [0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10]
const STAGE_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
const DISK_BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1]

export type ConsensusMetrics = ReturnType<typeof createConsensusMetrics>

export function createConsensusMetrics(metrics: Metrics, read: () => ConsensusGauges) {
  const registers = [metrics]
  const gauge = (name: string, help: string, value: (gauges: ConsensusGauges) => number) =>
    new Gauge({
      name: `cumulus_consensus_${name}`,
      help,
      registers,
      collect() {
        this.set(value(read()))
      },
    })
  gauge('round', 'Round of the newest own block', ({ round }) => round)
  gauge('decided_round', 'Last decided round', ({ decidedRound }) => decidedRound)
  gauge('certified_height', 'Highest chain block with a certificate', ({ certifiedHeight }) => Number(certifiedHeight))
  gauge('log_bytes', 'Bytes of the write-ahead log', ({ logBytes }) => logBytes)
  gauge('waiting_commits', 'Decided rounds that are not executed yet', ({ waitingCommits }) => waitingCommits)
  gauge(
    'waiting_commit_bytes',
    'Bytes of decided rounds that are not executed yet',
    ({ waitingCommitBytes }) => waitingCommitBytes,
  )
  gauge('equivocators', 'Members known to have signed two blocks of one round', ({ equivocators }) => equivocators)
  new Gauge({
    name: 'cumulus_consensus_member_lag_rounds',
    help: 'Rounds from the newest block of a member to the highest round',
    labelNames: ['member'],
    registers,
    collect() {
      for (const [member, { lag }] of read().members.entries()) this.set({ member }, lag)
    },
  })
  new Gauge({
    name: 'cumulus_consensus_member_connected',
    help: 'Whether there is a link to the member',
    labelNames: ['member'],
    registers,
    collect() {
      for (const [member, { connected }] of read().members.entries()) this.set({ member }, connected ? 1 : 0)
    },
  })
  new Gauge({
    name: 'cumulus_consensus_member_waiting_bytes',
    help: 'Bytes on their way to the member',
    labelNames: ['member'],
    registers,
    collect() {
      for (const [member, { waitingBytes }] of read().members.entries()) this.set({ member }, waitingBytes)
    },
  })
  return {
    commitSeconds: new Histogram({
      name: 'cumulus_consensus_commit_seconds',
      help: 'Time from the making of an own block with transactions to its place in the order',
      buckets: LATENCY_BUCKETS,
      registers,
    }),
    stageSeconds: new Histogram({
      name: 'cumulus_consensus_stage_seconds',
      help: 'Time of transactions and blocks with transactions in each stage on their way to a certificate',
      labelNames: ['stage'],
      buckets: STAGE_BUCKETS,
      registers,
    }),
    commitRounds: new Histogram({
      name: 'cumulus_consensus_commit_rounds',
      help: 'Own rounds that had begun after a round when it was decided',
      buckets: [3, 4, 5, 6, 8, 12, 16, 32, 64],
      registers,
    }),
    slots: new Counter({
      name: 'cumulus_consensus_slots_total',
      help: 'Slots decided, by the decision and by what decided: their own wave, or an anchor later on',
      labelNames: ['decision', 'by'],
      registers,
    }),
    certificateSeconds: new Histogram({
      name: 'cumulus_consensus_certificate_seconds',
      help: 'Time from the execution of a chain block to its certificate',
      buckets: LATENCY_BUCKETS,
      registers,
    }),
    logSyncSeconds: new Histogram({
      name: 'cumulus_consensus_log_sync_seconds',
      help: 'Time until an own block was on the disk',
      buckets: DISK_BUCKETS,
      registers,
    }),
    coinSeconds: new Histogram({
      name: 'cumulus_consensus_coin_seconds',
      help: 'Time to combine shares of the coin',
      buckets: DISK_BUCKETS,
      registers,
    }),
    rounds: new Counter({ name: 'cumulus_consensus_rounds_total', help: 'Decided rounds', registers }),
    blocks: new Counter({ name: 'cumulus_consensus_blocks_total', help: 'Ordered blocks of the DAG', registers }),
    sentBytes: new Counter({
      name: 'cumulus_consensus_sent_bytes_total',
      help: 'Bytes of messages to members, by kind',
      labelNames: ['kind'],
      registers,
    }),
    receivedBytes: new Counter({
      name: 'cumulus_consensus_received_bytes_total',
      help: 'Bytes of messages from members',
      labelNames: ['member'],
      registers,
    }),
    refused: new Counter({
      name: 'cumulus_consensus_refused_total',
      help: 'Messages that no honest member sends, and those of strangers, by code',
      labelNames: ['code'],
      registers,
    }),
    shunned: new Counter({
      name: 'cumulus_consensus_shunned_total',
      help: 'Times that a member was not listened to for a while, since it sent nonsense',
      labelNames: ['member'],
      registers,
    }),
    badShares: new Counter({
      name: 'cumulus_consensus_bad_shares_total',
      help: 'Wrong shares of the coin that a member signed',
      labelNames: ['member'],
      registers,
    }),
    shownCoins: new Counter({
      name: 'cumulus_consensus_shown_coins_total',
      help: 'Coins that this member asked for and others showed, by what they turned out to be',
      labelNames: ['result'],
      registers,
    }),
    evidence: new Counter({
      name: 'cumulus_consensus_evidence_total',
      help: 'Members of whom evidence was found',
      labelNames: ['kind'],
      registers,
    }),
  }
}
