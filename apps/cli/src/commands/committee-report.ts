import type { ProcessReport } from './status.ts'

/** What a validator of a committee says of the order; see nodes/validator. */
interface OrderStatus {
  readonly kind?: string
  readonly committeeSize?: number
  readonly seat?: number
  readonly round?: number
  readonly certifiedHeight?: string
  readonly commitMs?: { readonly p50: number; readonly p99: number }
  readonly isInquiring?: boolean
  readonly silencedAtRound?: number
  /** What to do about it. */
  readonly silenced?: string
  readonly coin?: string
  readonly evidence?: readonly { readonly kind: string; readonly member: number }[]
}

/** The committee as a whole, from what its members say. Plain JSON. */
export interface CommitteeReport {
  readonly size: number
  /** Highest round that a member has reached. */
  readonly round: number
  /** Highest chain block with a certificate. */
  readonly certifiedHeight: number
  /** From proposal of transactions to decision, of the member that waits longest; absent if there were none in the last minute. */
  readonly commitMs?: { readonly p50: number; readonly p99: number }
  readonly coin: string
  /** Members that do not answer, or are this many rounds behind. */
  readonly lagging: readonly { readonly name: string; readonly rounds?: number }[]
  /** Members caught with two tongues, by name. */
  readonly traitors: readonly string[]
}

/** Rounds pass in tens of ms, and members are asked one after the other: fewer say nothing. */
const LAG_ROUNDS = 32

/** Undefined where one validator orders alone, or no member answers. */
export function reportCommittee(processes: readonly ProcessReport[]): CommitteeReport | undefined {
  const validators = processes.filter(({ role }) => role === 'validator')
  const members = validators.map((entry) => ({ name: entry.name, order: orderOf(entry) }))
  const answering = members.flatMap(({ order }) => (order?.round === undefined ? [] : [order]))
  if (answering.length === 0 || validators.length < 2) return undefined
  const round = Math.max(...answering.map((order) => order.round!))
  const slowest = answering
    .map(({ commitMs }) => commitMs)
    .reduce((slow, ms) => (ms && (!slow || ms.p50 > slow.p50) ? ms : slow), undefined)
  const traitors = new Set(answering.flatMap(({ evidence }) => (evidence ?? []).map(({ member }) => member)))
  return {
    size: validators.length,
    round,
    certifiedHeight: Math.max(...answering.map(({ certifiedHeight }) => Number(certifiedHeight ?? 0))),
    ...(slowest && { commitMs: { p50: slowest.p50, p99: slowest.p99 } }),
    coin: answering[0]!.coin ?? '',
    lagging: members.flatMap(({ name, order }) => {
      if (order?.round === undefined) return [{ name }]
      const rounds = round - order.round
      return rounds > LAG_ROUNDS ? [{ name, rounds }] : []
    }),
    traitors: [...traitors].sort((a, b) => a - b).map((seat) => validators[seat]?.name ?? `seat ${seat}`),
  }
}

/** What the order says of itself in one line of the table; empty for one validator alone. */
export function orderLine(entry: ProcessReport): string[] {
  const order = orderOf(entry)
  if (order?.round === undefined) return []
  const parts = [`certified ${order.certifiedHeight}`, `round ${order.round}`]
  if (order.commitMs) parts.push(`commit ${order.commitMs.p50} ms`)
  if (order.isInquiring) parts.push('asks the others for its newest block')
  if (order.silencedAtRound !== undefined)
    parts.push(
      `silent since round ${order.silencedAtRound}, its key was used twice: ${order.silenced ?? 'see its log'}`,
    )
  return parts
}

function orderOf({ status }: ProcessReport): OrderStatus | undefined {
  const order = status['orderer'] as OrderStatus | undefined
  return order?.kind === 'single' ? undefined : order
}
