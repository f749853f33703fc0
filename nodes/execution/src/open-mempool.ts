import { Gauge, type Logger, type Metrics } from '@cumulus/service'
import { secp256k1Backend } from '@cumulus/signature'
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

/** Says so where signatures take thirty times as long as they should: such a node falls behind under load. */
export function noteSignatureBackend(backend: typeof secp256k1Backend, log: Logger, metrics: Metrics): void {
  new Gauge({
    name: 'cumulus_mempool_native_signatures',
    help: '1 if the native addon for secp256k1 answers, 0 if portable JavaScript does, 30 times slower',
    registers: [metrics],
  }).set(backend === 'native' ? 1 : 0)
  if (backend === 'native') return
  log.warn('the native addon for secp256k1 did not load: signatures are checked 30 times slower', {
    platform: `${process.platform}-${process.arch}`,
    next: 'install again with scripts allowed, or on a platform with a prebuilt addon',
  })
}

/** The mempool of a node: with threads for signatures, and with what it was given before it was stopped. */
export async function openMempool({ chainId, state, metrics, log, dir, limits }: OpenMempoolInit): Promise<Mempool> {
  noteSignatureBackend(secp256k1Backend, log, metrics)
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
