import { hexToBytes } from '@cumulus/bytes'
import {
  type CertificateStore,
  type GenesisFile,
  type LmdbLedgerStore,
  type Mempool,
  paramsOf,
} from '@cumulus/execution'
import { BlockService, takeTransactions } from '@cumulus/full-node'
import { keccak256 } from '@cumulus/hash'
import type { Ledger } from '@cumulus/ledger'
import { type FrameHandlers, type Listener, listen } from '@cumulus/network'
import { committeeOf } from '@cumulus/r2s'
import type { RoleContext } from '@cumulus/service'
import type { Seat } from './committee-seat.ts'
import { type CoinKeeper, publicCoinKeeper } from './consensus/coin-keeper.ts'
import { ConsensusError } from './consensus/consensus-error.ts'
import { R2sOrderer } from './consensus/r2s-orderer.ts'
import { ThresholdCoin } from './consensus/threshold-coin.ts'
import type { ValidatorConfig } from './validator.ts'

interface MemberInit {
  readonly config: ValidatorConfig
  readonly genesis: GenesisFile
  readonly seat: Seat
  readonly ledger: Ledger
  readonly store: LmdbLedgerStore
  readonly certificates: CertificateStore
  readonly mempool: Mempool
  /** Served to full nodes beside the chain. */
  readonly snapshots: FrameHandlers | undefined
  readonly context: RoleContext
}

/** A member of the committee, listening, and ready to begin. */
export interface OpenMember {
  readonly orderer: R2sOrderer
  readonly port: number
  /** Calls back after each certificate that was stored. */
  onCertified(listener: () => void): void
  /** After the orderer has ended. */
  close(): Promise<void>
}

/**
 * Opens what a member needs beside the chain: its log, its keys' helpers, and the port where members and full nodes reach it.
 *
 * @throws ConsensusError, NetworkError LISTEN
 */
export async function openMember(init: MemberInit): Promise<OpenMember> {
  const { config, genesis, seat, ledger, store, certificates, mempool, snapshots, context } = init
  const { log, metrics } = context
  const { identity, members, index, committee, blsKey } = seat
  const coin = coinOf(genesis, seat, ledger.genesisHash)
  let listener: Listener | undefined
  try {
    const orderer = await R2sOrderer.open(
      {
        folder: config.dir,
        params: paramsOf(genesis),
        genesisMs: genesis.timeMs,
        committee,
        members,
        self: index,
        identity,
        blsKey,
        certificates,
        coin,
        chain: ledger,
        mempool,
        storeMs: () => store.lastWriteMs,
        log: log.child({ part: 'consensus' }),
        metrics,
      },
      config.pace,
    )
    const service = new BlockService({
      chain: ledger,
      store,
      certificates,
      isOrdering: true,
      handlers: snapshots,
      metrics,
      transactions: async (raws) => {
        const verdicts = await takeTransactions(mempool, raws)
        for (const raw of raws) {
          const transaction = mempool.get(keccak256(raw))
          if (transaction) orderer.watch(transaction)
        }
        return verdicts
      },
    })
    const certified: (() => void)[] = [() => service.announce()]
    orderer.onCertified(() => {
      for (const tell of certified) tell()
    })
    const { host, port } = config.peer ?? members[index]!.address
    listener = await listen({
      host,
      port,
      identity,
      handlers: { ...service.handlers, ...orderer.handlers },
      onSession: (session) => orderer.attach(session),
      log,
      metrics,
    })
    const { close } = listener
    return { orderer, port: listener.port, onCertified: (tell) => void certified.push(tell), close }
  } catch (error) {
    await listener?.close()
    await coin.close()
    throw error
  }
}

/** @throws ConsensusError BAD_KEY */
function coinOf(
  { committee }: GenesisFile,
  { committee: { chainId, era }, coinShare }: Seat,
  anchor: Uint8Array,
): CoinKeeper {
  const { members, coin } = committee!
  if (coin.mode === 'public' || members.length < 4) return publicCoinKeeper(anchor)
  if (!coinShare) throw new ConsensusError('BAD_KEY', 'there is no share of the coin')
  const key = {
    threshold: committeeOf(members.length).coinThreshold,
    publicKey: hexToBytes(coin.publicKey),
    shareKeys: coin.shareKeys.map((shareKey) => hexToBytes(shareKey)),
  }
  return new ThresholdCoin({ chainId, era, key, share: coinShare, origin: 'dealt by one dealer (development)' })
}
