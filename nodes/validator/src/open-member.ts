import type { GenesisFile, Mempool } from '@cumulus/execution'
import { paramsOf } from '@cumulus/execution'
import type { Ledger } from '@cumulus/ledger'
import { listen } from '@cumulus/network'
import type { RoleContext } from '@cumulus/service'
import type { Seat } from './committee-seat.ts'
import { publicCoinKeeper } from './consensus/coin-keeper.ts'
import { R2sOrderer } from './consensus/r2s-orderer.ts'
import type { ValidatorConfig } from './validator.ts'

interface MemberInit {
  readonly config: ValidatorConfig
  readonly genesis: GenesisFile
  readonly seat: Seat
  readonly ledger: Ledger
  readonly mempool: Mempool
  readonly context: RoleContext
}

/** A member of the committee, listening, and ready to begin. */
export interface OpenMember {
  readonly orderer: R2sOrderer
  readonly port: number
  close(): Promise<void>
}

/** There is one committee, that of the genesis, until eras change it. */
const GENESIS_ERA = 0

/** @throws ConsensusError, NetworkError LISTEN */
export async function openMember({ config, genesis, seat, ledger, mempool, context }: MemberInit): Promise<OpenMember> {
  const { log, metrics } = context
  const { identity, members, index } = seat
  const orderer = await R2sOrderer.open(
    {
      folder: config.dir,
      params: paramsOf(genesis),
      genesisMs: genesis.timeMs,
      era: GENESIS_ERA,
      members,
      self: index,
      identity,
      coin: publicCoinKeeper(ledger.genesisHash),
      chain: ledger,
      mempool,
      log: log.child({ part: 'consensus' }),
      metrics,
    },
    config.pace,
  )
  const { host, port } = config.peer ?? members[index]!.address
  const listener = await listen({
    host,
    port,
    identity,
    handlers: orderer.handlers,
    onSession: (session) => orderer.attach(session),
    log,
    metrics,
  })
  return { orderer, port: listener.port, close: () => listener.close() }
}
