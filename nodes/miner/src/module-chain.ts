import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import type { ChainClient } from '@cumulus/chain'
import type {
  ChainGateway,
  ChainMiner,
  ChainStripe,
  FollowInit,
  MinerChain,
  MinerState,
  Registration,
} from './miner-chain.ts'

const PAGE_COUNT = 100n
/** More gateways are not looked at: a register that long needs another way to choose. */
const GATEWAYS_MAX = 2000

const minerStates: Record<number, MinerState> = { 1: 'active', 2: 'frozen', 3: 'exiting', 4: 'offline', 5: 'dead' }
const stripeStates: Record<number, ChainStripe['state']> = { 1: 'reserved', 2: 'committed', 3: 'released' }

/** The miner's view of the chain, by the protocol modules. */
export function moduleChain(client: ChainClient): MinerChain {
  return {
    account: client.account,
    balance: () => client.balanceOf(),
    blockNumber: () => client.blockNumber(),

    async miner(): Promise<ChainMiner | undefined> {
      const entry = await client.read('Miners', 'minerOf', [client.account])
      const state = minerStates[entry.state]
      if (!state) return undefined
      const { addresses, region, declaredUnits, idleUnits, lockedUnits, serviceUnits, stake, registeredAtBlock } = entry
      const units = { declaredUnits, idleUnits, lockedUnits, serviceUnits }
      return { peerKey: hexToBytes(entry.peerKey), addresses, region, state, ...units, stake, registeredAtBlock }
    },

    async register({ peerKey, addresses, beneficiary, units, region, peerSignature, stake }: Registration) {
      await client.send(
        'Miners',
        'register',
        [bytesToHex(peerKey), addresses, beneficiary, units, region, bytesToHex(peerSignature)],
        { value: stake },
      )
    },

    async declareUnits(units, stake) {
      await client.send('Miners', 'declareUnits', [units], { value: stake })
    },

    async update(addresses, region) {
      await client.send('Miners', 'update', [addresses, region])
    },

    async gateways() {
      const gateways: ChainGateway[] = []
      for (let offset = 0n; gateways.length < GATEWAYS_MAX; offset += PAGE_COUNT) {
        const page = await client.read('Gateways', 'gateways', [offset, PAGE_COUNT])
        for (const { account, peerKey, addresses } of page) {
          gateways.push({ account, peerKey: hexToBytes(peerKey), addresses })
        }
        if (page.length < Number(PAGE_COUNT)) break
      }
      return gateways
    },

    async group(id) {
      const group = await client.read('Storage', 'groupOf', [id])
      if (group.id !== id || group.peerKeys.length === 0) return undefined
      return { classId: group.classId, peerKeys: group.peerKeys.map(hexToBytes) }
    },

    async stripes(group, first, count) {
      const stripes = await client.read('Storage', 'stripesOf', [group, first, count])
      return stripes.map(({ state, root, reservation, gateway }) => ({
        state: stripeStates[state] ?? 'none',
        root: hexToBytes(root),
        reservation,
        gateway,
      }))
    },

    async reservation(id) {
      const { group, firstStripe, stripeCount } = await client.read('Storage', 'reservationOf', [id])
      return stripeCount === 0 ? undefined : { group, firstStripe, stripeCount }
    },

    mayUse: (territory, gateway) => client.read('Gateways', 'mayUse', [territory, gateway]),

    gatewayChanges: (init) =>
      merge([
        client.events('Gateways', 'GatewayRegistered', init),
        client.events('Gateways', 'GatewayUpdated', init),
        client.events('Gateways', 'GatewayRemoved', init),
      ]),

    async *committed(init: FollowInit) {
      for await (const { args } of client.events('Storage', 'Committed', init)) {
        yield { group: args.group, stripe: args.stripe, root: hexToBytes(args.root) }
      }
    },

    async *released(init: FollowInit) {
      for await (const { args } of client.events('Storage', 'Released', init)) {
        yield { group: args.group, stripe: args.stripe }
      }
    },
  }
}

/** Items of all sources as they come. Ends, or throws, with the first that does: all of them follow one signal. */
async function* merge(sources: readonly AsyncGenerator<unknown>[]): AsyncGenerator<unknown> {
  const next = sources.map((source, i) => source.next().then((result) => ({ i, result })))
  for (;;) {
    const { i, result } = await Promise.race(next)
    if (result.done) return
    next[i] = sources[i]!.next().then((following) => ({ i, result: following }))
    yield result.value
  }
}
