import { predeploysFor } from '@cumulus/contracts'
import {
  type Genesis,
  type HistoryLimits,
  Ledger,
  LedgerError,
  type LedgerStore,
  ModuleRegistry,
  modulesFor,
  snapshotProgress,
} from '@cumulus/ledger'
import { createBreather } from '@cumulus/service'
import { ExecutionError } from './execution-error.ts'
import { type GenesisFile, paramsOf } from './genesis-file.ts'

interface OpenLedgerInit {
  /** How far back the state can be asked for. */
  readonly history?: Partial<HistoryLimits>
}

/** Opens the chain of a genesis in a store, or begins it there. */
export async function openLedger(
  store: LedgerStore,
  genesis: GenesisFile,
  dir: string,
  { history }: OpenLedgerInit = {},
): Promise<Ledger> {
  const params = paramsOf(genesis)
  if (snapshotProgress(store)) {
    const message = `${dir} holds a part of a snapshot: start a full node there first`
    throw new ExecutionError('SNAPSHOT_UNFINISHED', message, { dir })
  }
  try {
    return await Ledger.open({
      params,
      genesis: { ...ledgerGenesis(genesis), predeploys: predeploysFor(params) },
      store,
      modules: new ModuleRegistry(modulesFor(params)),
      limits: { history },
      pause: createBreather(),
    })
  } catch (cause) {
    if (!(cause instanceof LedgerError)) throw cause
    if (cause.code === 'OTHER_GENESIS') {
      throw new ExecutionError(
        'GENESIS_MISMATCH',
        `${dir} holds the chain of another genesis; give the right file, or an empty folder`,
        { dir, ...cause.details },
        { cause },
      )
    }
    if (cause.code === 'BAD_GENESIS') {
      throw new ExecutionError('GENESIS_MALFORMED', `genesis: ${cause.message}`, cause.details, { cause })
    }
    throw cause
  }
}

function ledgerGenesis({ timeMs, allocations, committee, attestation }: GenesisFile): Genesis {
  const alloc = Object.fromEntries(allocations.map(({ address, balance }) => [address, { balance }]))
  return { timestampMs: timeMs, alloc, committee, attestation }
}
