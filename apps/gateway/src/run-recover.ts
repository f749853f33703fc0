import { join } from 'node:path'
import { bytesToPlainHex } from '@cumulus/bytes'
import { ChainClient } from '@cumulus/chain'
import { type RoleContext, ServiceError } from '@cumulus/service'
import { deriveOwnerKeys } from './owner-keys.ts'
import { type RecoverProgress, type RecoverResult, recoverOwner } from './recover.ts'
import { type GatewayConfig, openGateway } from './start-gateway.ts'
import { addUser, type GatewayUser } from './users.ts'

export interface RecoverInit {
  /** 32 bytes: key of the chain account that owns the territory. Used here and not kept. */
  readonly ownerKey: Uint8Array
  /** Default: the only territory of the owner that holds anything. */
  readonly territory?: bigint
  /** How the user is called at this gateway. Default: the owner's address. */
  readonly name?: string
  readonly email?: string
}

const TERRITORIES_PER_READ = 100n
const FOR_EVER = 2n ** 64n - 1n

/**
 * `cumulus gateway recover`: rebuilds all buckets of an owner on a gateway that does not have them, from chain and
 * network alone. The gateway must not be running in this folder; it serves the owner when it is started next.
 *
 * @throws RecoverError · ServiceError NO_TERRITORY, SEVERAL_TERRITORIES
 */
export async function runRecover(
  config: Omit<GatewayConfig, 's3'> & { readonly endpoint?: string },
  context: RoleContext,
  init: RecoverInit,
  onProgress?: (progress: RecoverProgress) => void,
): Promise<RecoverResult & { user: GatewayUser }> {
  const { log, signal } = context
  const died = Promise.withResolvers<never>()
  const { engine, chain, gatewayChain } = await openGateway(
    { ...config, endpoint: config.endpoint ?? '' },
    context,
    (error) => died.reject(error),
  )
  try {
    const owner = await ChainClient.connect({
      urls: [...config.rpc],
      privateKey: init.ownerKey,
      params: config.params,
      log,
      signal,
    })
    const territory = init.territory ?? (await territoryOf(owner))
    if (!(await owner.read('Gateways', 'mayUse', [territory, chain.account]))) {
      const { capacityBytes } = await owner.read('Territories', 'territoryOf', [territory])
      await owner.send('Gateways', 'grant', [territory, chain.account, capacityBytes, FOR_EVER], { signal })
    }
    const keys = deriveOwnerKeys(init.ownerKey)
    const address = owner.account.toLowerCase()
    const result = await Promise.race([
      recoverOwner(
        engine,
        { chain: gatewayChain, log, folder: config.folder, signal },
        { owner: address, territory, dataKey: keys.dataKey },
        onProgress,
      ),
      died.promise,
    ])
    const user: GatewayUser = {
      name: init.name ?? address,
      id: address,
      email: init.email ?? '',
      owner: address,
      territory: territory.toString(),
      dataKey: bytesToPlainHex(keys.dataKey),
      accessKey: keys.accessKey,
      secretKey: keys.secretKey,
    }
    await addUser(config.usersFile ?? join(config.folder, 'users.json'), user)
    return { ...result, user }
  } finally {
    await engine.close()
  }
}

/** The territory that holds something, or the only one there is. */
async function territoryOf(owner: ChainClient): Promise<bigint> {
  const used: bigint[] = []
  const all: bigint[] = []
  for (let offset = 0n; ; offset += TERRITORIES_PER_READ) {
    const page = await owner.read('Territories', 'territoriesOf', [owner.account, offset, TERRITORIES_PER_READ])
    for (const { id, usedBytes, lockedBytes } of page) {
      all.push(id)
      if (usedBytes + lockedBytes > 0n) used.push(id)
    }
    if (page.length < Number(TERRITORIES_PER_READ)) break
  }
  const candidates = used.length > 0 ? used : all
  if (candidates.length === 0) {
    throw new ServiceError('NO_TERRITORY', `${owner.account} owns no territory`, { owner: owner.account })
  }
  if (candidates.length > 1) {
    throw new ServiceError('SEVERAL_TERRITORIES', 'the owner has several territories: say which', {
      territories: candidates.join(', '),
    })
  }
  return candidates[0]!
}
