import type { Logger, Metrics } from '@cumulus/service'
import { Mempool, type PoolState } from './mempool.ts'
import { MempoolJournal } from './mempool-journal.ts'
import type { MempoolLimits } from './mempool-limits.ts'
import { SenderRecovery } from './sender-recovery.ts'

interface OpenMempoolInit {
  readonly chainId: number
  readonly state: PoolState
  readonly metrics: Metrics
  readonly log: Logger
  /** Folder of the node, for the journal of local transactions. */
  readonly dir: string
  readonly limits?: Partial<MempoolLimits>
}

/** The mempool of a node: with threads for signatures, and with what it was given before it was stopped. */
export async function openMempool({ chainId, state, metrics, log, dir, limits }: OpenMempoolInit): Promise<Mempool> {
  const mempool = new Mempool(
    {
      chainId,
      state,
      metrics,
      senders: new SenderRecovery(log),
      journal: new MempoolJournal(`${dir}/mempool.journal`, log),
    },
    limits,
  )
  const { restored, outdated } = await mempool.restore()
  if (restored + outdated > 0) log.info('mempool restored', { restored, outdated })
  return mempool
}
