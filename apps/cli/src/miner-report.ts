import { minerCause, minerState } from '@cumulus/ledger/modules'
import { type Access, formatTokens } from './chain-access.ts'

/** What the chain knows of a miner, read at one moment. */
export interface MinerReport {
  readonly name: string
  readonly account: string
  readonly state: string
  readonly beneficiary: string
  readonly region: string
  readonly unitBytes: number
  readonly units: Readonly<Record<'declared' | 'idle' | 'locked' | 'service' | 'tagged', number>>
  /** Wei, as decimal text. */
  readonly stake: string
  readonly collateralLimit: string
  readonly debt: string
  readonly balance: string
  readonly audits: Readonly<Record<'passed' | 'failed' | 'missed' | 'failedInRow' | 'missedInRow', number>> & {
    readonly lastPassedEpoch: string | null
  }
  readonly challenge: { readonly state: string; readonly epoch: string } | null
  readonly rewards: Readonly<Record<'claimable' | 'locked' | 'paid', string>>
  /** Whether data are tagged by workers whose keys no hardware protects. */
  readonly simulated: boolean
  /** What is wrong, why, and what to do. */
  readonly advice: readonly Advice[]
}

export interface Advice {
  readonly cause: string
  readonly next: string
}

const stateNames = Object.fromEntries(Object.entries(minerState).map(([name, value]) => [value, name]))
const challengeNames = ['none', 'open', 'passed', 'failed', 'missed', 'answered', 'void']
const SIMULATED = 3

/** @throws ChainError */
export async function reportMiner({ name, params, chain }: Access): Promise<MinerReport> {
  const { account } = chain
  const [miner, record, rewards, challenge, workers, balance] = await Promise.all([
    chain.read('Miners', 'minerOf', [account]),
    chain.read('Audit', 'recordOf', [account]),
    chain.read('Audit', 'rewardsOf', [account]),
    chain.read('Audit', 'challengeOf', [account]),
    chain.read('TeeWorkers', 'workers', [0n, 100n]),
    chain.balanceOf(),
  ])
  const [failedInRow, missedInRow, passed, failed, missed, last] = record
  const [claimable, locked, paid] = rewards
  const { declaredUnits: declared, idleUnits: idle, lockedUnits, serviceUnits: service, taggedUnits: tagged } = miner
  const audits = { passed, failed, missed, failedInRow, missedInRow, lastPassedEpoch: passed > 0 ? String(last) : null }
  const { stake, collateralLimit, debt, cause, state } = miner
  const facts = { state, cause, stake, collateralLimit, debt, service, tagged, failedInRow, missedInRow, claimable }
  return {
    name,
    account,
    state: stateNames[state] ?? 'unknown',
    beneficiary: miner.beneficiary,
    region: miner.region,
    unitBytes: params.unitBytes,
    units: { declared, idle, locked: lockedUnits, service, tagged },
    stake: String(stake),
    collateralLimit: String(collateralLimit),
    debt: String(debt),
    balance: String(balance),
    audits,
    challenge:
      challenge.state === 0
        ? null
        : { state: challengeNames[challenge.state] ?? 'unknown', epoch: String(challenge.epoch) },
    rewards: { claimable: String(claimable), locked: String(locked), paid: String(paid) },
    simulated: workers.some(({ attestation }) => attestation === SIMULATED),
    advice: adviceFor({ ...facts, balance, name, workers: workers.length, missesToDeath: params.audit.missesToDeath }),
  }
}

export interface MinerFacts {
  readonly name: string
  readonly state: number
  readonly cause: number
  readonly stake: bigint
  readonly collateralLimit: bigint
  readonly debt: bigint
  readonly balance: bigint
  readonly service: number
  readonly tagged: number
  readonly failedInRow: number
  readonly missedInRow: number
  readonly claimable: bigint
  readonly workers: number
  readonly missesToDeath: number
}

/** An account with less can hardly pay for confirming tags and proofs. */
const LOW_BALANCE = 10n ** 16n

/** What is wrong with a miner and what its operator can do, the worst first. Empty = all is well. */
export function adviceFor(facts: MinerFacts): Advice[] {
  const advice: Advice[] = []
  const { name, state, cause, debt, stake, collateralLimit } = facts
  const say = (when: boolean, what: string, next: string): void => {
    if (when) advice.push({ cause: what, next })
  }
  say(
    state === minerState.none,
    'The account is not registered.',
    'Start the miner: it registers, if the account has funds.',
  )
  say(
    state === minerState.dead,
    `The miner was put out: it missed ${facts.missesToDeath} audits in a row.`,
    'Its seats go to others. Once nothing of its space is in use, "exit" on the chain gives back what is left of the stake.',
  )
  say(state === minerState.exiting, 'The miner leaves, by its own wish.', 'Keep it running until its data are gone.')
  const missing = debt + (collateralLimit > stake ? collateralLimit - stake : 0n)
  say(
    cause === minerCause.debt || cause === minerCause.stakeBelowLimit,
    debt > 0n
      ? `Penalties left a debt of ${formatTokens(debt)}: the miner is frozen, it gets no new data and no rewards.`
      : `The stake is ${formatTokens(missing)} below its limit: the miner is frozen, it gets no new data and no rewards.`,
    `Pay it up: cumulus miner stake --name ${name} --add ${formatTokens(missing + 10n ** 12n)}`,
  )
  say(
    facts.missedInRow > 0 && state !== minerState.dead,
    `${facts.missedInRow} audits in a row were not answered. The second in a row and each later one cost stake, and after ${facts.missesToDeath} it is put out.`,
    `Is it running, is its clock right, does it reach the chain? See "cumulus logs ${name}".`,
  )
  say(
    facts.failedInRow > 0,
    `${facts.failedInRow} proofs in a row were wrong. From the second on, each costs 5 % of the limit.`,
    `Its disk gives back other bytes than were stored: check the disk, and see "cumulus logs ${name}".`,
  )
  say(
    facts.service > facts.tagged && facts.workers === 0,
    `${facts.service - facts.tagged} stored fragments earn nothing: no TEE worker is there to tag them.`,
    'Nothing to do here: they earn once a TEE worker has registered. Nobody is punished for it.',
  )
  say(
    facts.balance < LOW_BALANCE && state !== minerState.none,
    `The account has ${formatTokens(facts.balance)} tokens left to pay for transactions.`,
    'Send it some: without, it cannot confirm tags or answer challenges.',
  )
  return advice
}
