import { bytesToPlainHex, hexToBytes } from '@cumulus/bytes'
import { ChainClient } from '@cumulus/chain'
import { deriveOwnerKeys } from '@cumulus/gateway'
import { preset } from '@cumulus/params'
import { createLogger, sleep, writeFileAtomic } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import type { LocalPlan } from './local-plan.ts'
import type { NetworkFile, NetworkFolder, NetworkUser } from './network-folder.ts'

/** Epochs of rent paid ahead: with the `dev` clock of ten seconds an epoch, about eleven years. */
const RENT_EPOCHS = 36_000_000

/**
 * Gives every user of a local network a territory and the gateway its grant, and hands the derived keys to the
 * gateway. Does only what is not done yet, so it may be called at every start.
 */
export async function provisionUsers(
  folder: NetworkFolder,
  plan: LocalPlan,
  signal: AbortSignal,
): Promise<NetworkFile> {
  await untilChainAnswers(plan.rpc.http, signal)
  const users = await Promise.all(plan.users.map((user) => provisionUser(plan, user, signal)))
  await writeFileAtomic(
    folder.usersFile,
    `${JSON.stringify(
      users.map((user) => ({
        name: user.name,
        id: user.id,
        email: user.email,
        owner: user.owner,
        territory: user.territory,
        dataKey: bytesToPlainHex(deriveOwnerKeys(hexToBytes(user.ownerKey)).dataKey),
        accessKey: user.accessKey,
        secretKey: user.secretKey,
      })),
      null,
      2,
    )}\n`,
    { mode: 0o600 },
  )
  const { version, preset: rules, chainId, createdMs, s3, rpc, validators, accounts, processes } = plan
  return { version, preset: rules, chainId, createdMs, s3: { ...s3, users }, rpc, validators, accounts, processes }
}

async function provisionUser(
  plan: LocalPlan,
  user: LocalPlan['users'][number],
  signal: AbortSignal,
): Promise<NetworkUser> {
  const privateKey = hexToBytes(user.ownerKey)
  const chain = await ChainClient.connect({
    urls: plan.validators.map(({ http }) => http),
    privateKey,
    params: preset(plan.preset),
    log: createLogger({ name: 'up', level: 'error' }),
    signal,
  })
  const owner = chain.account
  let [territory] = await chain.read('Territories', 'territoriesOf', [owner, 0n, 1n])
  if (!territory) {
    const capacity = BigInt(plan.territoryBytes)
    const price = await chain.read('Territories', 'price', [capacity, RENT_EPOCHS])
    await chain.send('Territories', 'mint', [user.name, capacity, RENT_EPOCHS, owner], { value: price, signal })
    ;[territory] = await chain.read('Territories', 'territoriesOf', [owner, 0n, 1n])
  }
  if (!territory) throw new Error(`the territory of ${user.name} was minted and is not there`)
  const gateway = plan.gatewayAccount as Address
  if (!(await chain.read('Gateways', 'mayUse', [territory.id, gateway]))) {
    await chain.send('Gateways', 'grant', [territory.id, gateway, BigInt(plan.territoryBytes), 2n ** 64n - 1n], {
      signal,
    })
  }
  const { accessKey, secretKey } = deriveOwnerKeys(privateKey)
  return { ...user, accessKey, secretKey, territory: territory.id.toString() }
}

async function untilChainAnswers(url: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted()
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}',
        signal: AbortSignal.timeout(1_000),
      })
      if (response.ok) return
    } catch {
      // Not there yet.
    }
    await sleep(50, signal)
  }
}
