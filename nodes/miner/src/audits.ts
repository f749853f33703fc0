import { join } from 'node:path'
import type { Session } from '@cumulus/network'
import type { Params } from '@cumulus/params'
import type { PodrParams } from '@cumulus/podr2'
import type { HealthReport, Logger } from '@cumulus/service'
import type { SlabStore } from '@cumulus/store'
import { type Address, groupId, seat, stripeNumber } from '@cumulus/types'
import type { ChainRecord, ChainRewards, ChainWorker } from './audit-chain.ts'
import type { Authority } from './authority.ts'
import { ChallengeWatcher } from './challenge-watcher.ts'
import { KeptTags } from './kept-tags.ts'
import { Losses } from './losses.ts'
import type { MinerMetrics } from './metrics.ts'
import type { MinerChain } from './miner-chain.ts'
import { Prover } from './prover.ts'
import { TagKeeper, type TagKeeperInit } from './tag-keeper.ts'
import { TagService } from './tag-service.ts'
import { Taggers } from './taggers.ts'

export interface AuditsComponents {
  readonly chain: MinerChain
  readonly store: SlabStore
  readonly authority: Authority
  readonly sessionOf: (peerKey: Uint8Array) => Session | undefined
  /** `needs` says something else than before. */
  readonly onNeeds: () => void
  readonly params: Params
  readonly metrics: MinerMetrics
  readonly log: Logger
}

export interface AuditsInit extends TagKeeperInit {
  /** Of the miner: powers are kept in it. */
  readonly folder: string
}

const WEI = 10n ** 18n

/** All that a miner does about proofs: takes tags, says which it can prove, answers challenges, knows what it earned. */
export class Audits {
  readonly tags: TagService
  readonly #parts: AuditsComponents
  readonly #taggers: Taggers
  #needed: ReadonlySet<string> = new Set()
  readonly #losses: Losses
  readonly #keeper: TagKeeper
  readonly #watcher: ChallengeWatcher
  #record: ChainRecord | undefined
  #rewards: ChainRewards | undefined

  constructor(parts: AuditsComponents, init: AuditsInit) {
    this.#parts = parts
    const { chain, store, authority, params, metrics, log, sessionOf } = parts
    const { sectorCount, challengedCount } = params.audit
    const podr: PodrParams = { chainId: params.chainId, sectorCount, challengedCount }
    const prover = Prover.shared
    const common = { chain, store, authority, prover, params, podr, metrics, log }
    this.#taggers = new Taggers({ folder: join(init.folder, 'powers'), podr, prover, sessionOf, log })
    const taggers = this.#taggers
    const kept = new KeptTags(store, taggers)
    this.#losses = new Losses({ chain, store, metrics, log }, init)
    const losses = this.#losses
    this.tags = new TagService({
      store,
      authority,
      kept,
      params,
      podr,
      metrics,
      onTags: () => this.#keeper.wake(),
    })
    this.#keeper = new TagKeeper(
      {
        ...common,
        taggers,
        kept,
        losses,
        onTaggers: (accounts) => {
          const isNews = accounts.symmetricDifference(this.#needed).size > 0
          this.#needed = accounts
          if (isNews) parts.onNeeds()
        },
        take: ({ group, stripe, seat: at }, frame, session) =>
          this.tags.put({ group: groupId(group), stripe: stripeNumber(stripe), seat: seat(at) }, frame, session),
      },
      init,
    )
    this.#watcher = new ChallengeWatcher({ ...common, taggers, kept, losses, keeper: this.#keeper })
  }

  /** Whether tags of this TEE worker were kept when they were compared with the chain last. */
  needs(account: Address): boolean {
    return this.#needed.has(account.toLowerCase())
  }

  /** A fragment was found damaged, and is marked. */
  damaged(): void {
    this.#losses.wake()
  }

  setWorkers(workers: readonly ChainWorker[]): void {
    this.#taggers.update(workers)
  }

  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    await Promise.all([this.#keeper.run({ signal }), this.#watcher.run({ signal }), this.#losses.run({ signal })])
  }

  /** Asks the chain how audits went and what they brought. */
  async refresh(): Promise<void> {
    const { chain, metrics } = this.#parts
    const [record, rewards] = await Promise.all([chain.record(), chain.rewards()])
    this.#record = record
    this.#rewards = rewards
    const { account } = chain
    metrics.tagBacklog.set({ account }, this.#backlog)
    if (record.lastPassedEpoch !== undefined) metrics.lastProofEpoch.set({ account }, Number(record.lastPassedEpoch))
    for (const kind of ['claimable', 'locked', 'paid'] as const) {
      metrics.earnings.set({ account, kind }, Number(rewards[kind] / (WEI / 1_000_000n)) / 1e6)
    }
  }

  get status(): object {
    const { lastPassedEpoch, ...record } = this.#record ?? {}
    const rewards = this.#rewards
    return {
      tagBacklog: this.#backlog,
      unconfirmedTags: this.#parts.store.status.unconfirmedTags,
      /** Tags that wait for their check. */
      offeredTags: this.#parts.store.status.offeredTags,
      /** Whether any of the workers is one whose key no hardware protects. */
      simulated: this.#taggers.all.some(({ isSimulated }) => isSimulated),
      workers: this.#taggers.all.length,
      ...record,
      lastPassedEpoch: lastPassedEpoch === undefined ? null : String(lastPassedEpoch),
      lastProof: this.#watcher.lastReport ?? null,
      rewards: rewards && {
        claimable: String(rewards.claimable),
        locked: String(rewards.locked),
        paid: String(rewards.paid),
      },
    }
  }

  get checks(): HealthReport['checks'] {
    const { failedInRow = 0, missedInRow = 0 } = this.#record ?? {}
    const detail = `${failedInRow} wrong and ${missedInRow} missing proofs in a row`
    return [{ name: 'proofs', ok: failedInRow + missedInRow === 0, detail }]
  }

  /** Fragments that the chain has committed and does not pay for yet. */
  get #backlog(): number {
    const { taggedFragments, unconfirmedTags, fragments, pendingFragments } = this.#parts.store.status
    return Math.max(0, fragments - pendingFragments - (taggedFragments - unconfirmedTags))
  }
}
