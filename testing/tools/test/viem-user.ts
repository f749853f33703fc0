import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { moduleAbis, registrationMessage } from '@cumulus/ledger/modules'
import { Ed25519Key } from '@cumulus/signature'
import {
  type Abi,
  type Address,
  bytesToHex,
  createPublicClient,
  createWalletClient,
  defineChain,
  encodeFunctionData,
  getContract,
  type Hex,
  http,
  keccak256,
  type Log,
  parseAbi,
  parseEther,
  toHex,
  webSocket,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { CHAIN_ID, keys, verifyProof } from '../src/index.ts'
import type { Bench } from './bench.ts'

/** A DAO from vote to act, a contract that owns space, proofs: as viem uses them. */
export function viemUser(bench: () => Bench): void {
  const chain = defineChain({
    id: CHAIN_ID,
    name: 'cumulus',
    nativeCurrency: { name: 'test', symbol: 'T', decimals: 18 },
    rpcUrls: { default: { http: [] } },
  })
  const clients = (index: number) => {
    const { url } = bench().chain
    const client = createPublicClient({ chain, transport: http(url), pollingInterval: 20 })
    const wallet = createWalletClient({ account: privateKeyToAccount(keys[index]!), chain, transport: http(url) })
    const sent = async (hash: Hex) => {
      const receipt = await client.waitForTransactionReceipt({ hash })
      assert.equal(receipt.status, 'success')
      return receipt
    }
    const deploy = async (name: string, args: unknown[] = []) => {
      const { abi, bytecode } = await bench().project.artifact(name)
      const { contractAddress } = await sent(await wallet.deployContract({ abi, bytecode, args }))
      return { address: contractAddress!, abi }
    }
    const write = async (to: { address: Address; abi: Abi }, functionName: string, args: unknown[] = [], value = 0n) =>
      sent(await wallet.writeContract({ ...to, functionName, args, value } as never))
    const read = async (from: { address: Address; abi: Abi }, functionName: string, args: unknown[] = []) =>
      (await client.readContract({ ...from, functionName, args } as never)) as never
    return { client, wallet, sent, deploy, write, read }
  }

  describe('viem', () => {
    it('lets an OpenZeppelin Governor decide: delegate, propose, vote, execute', async () => {
      const { wallet, client, deploy, write, read } = clients(8)
      const token = await deploy('Token', ['Council', 'CNCL', parseEther('1000')])
      const council = await deploy('Council', [token.address])
      await write(token, 'delegate', [wallet.account.address])
      await write(token, 'transfer', [council.address, parseEther('300')])
      const receiver = privateKeyToAccount(keys[9]!).address
      const data = encodeFunctionData({ abi: token.abi, functionName: 'transfer', args: [receiver, parseEther('120')] })
      const proposal = [[token.address], [0n], [data]] as const
      await write(council, 'propose', [...proposal, 'pay the builder'])
      const id: bigint = await read(council, 'getProposalId', [...proposal, keccak256(toHex('pay the builder'))])
      const state = async () => await read(council, 'state', [id])
      const passBlock = async () => {
        await client.waitForTransactionReceipt({ hash: await wallet.sendTransaction({ to: receiver, value: 1n }) })
      }
      while ((await state()) === 0) await passBlock()
      await write(council, 'castVote', [id, 1])
      await assert.rejects(write(council, 'castVote', [id, 1]), /GovernorAlreadyCastVote/)
      while ((await state()) === 1) await passBlock()
      assert.equal(await state(), 4)
      await write(council, 'execute', [...proposal, keccak256(toHex('pay the builder'))])
      assert.equal(await read(token, 'balanceOf', [receiver]), parseEther('120'))
      assert.equal(await state(), 7)
    })

    it('watches the events of an ERC-721 over a WebSocket and by a filter, and finds them by topic and by block hash', async (t) => {
      const { client, deploy, write } = clients(10)
      const socket = createPublicClient({
        chain,
        transport: webSocket(bench().chain.webSocketUrl, { reconnect: false, keepAlive: false }),
      })
      t.after(async () => (await socket.transport.getRpcClient()).close())
      const picture = await deploy('Picture')
      const receiver = privateKeyToAccount(keys[11]!).address
      const transfer = parseAbi([
        'event Transfer(address indexed from, address indexed to, uint256 indexed tokenId)',
      ])[0]
      const heard: Log[] = []
      const both = Promise.withResolvers<void>()
      const stop = socket.watchEvent({
        address: picture.address,
        event: transfer,
        args: { to: receiver },
        onLogs: (logs) => {
          heard.push(...logs)
          if (heard.length === 2) both.resolve()
        },
      })
      const filter = await client.createEventFilter({ address: picture.address, event: transfer })
      // viem subscribes on its own time: a request on the same socket is answered after it.
      await socket.getChainId()
      await new Promise(setImmediate)
      await socket.getChainId()
      await write(picture, 'mint', [receiver])
      const { blockHash } = await write(picture, 'mint', [receiver])
      await both.promise
      stop()
      // viem opens the socket anew for whatever it still has to say when it is closed.
      await socket.getChainId()
      const changes = await client.getFilterChanges({ filter })
      assert.deepEqual(
        changes.map(({ args }) => args.tokenId),
        [1n, 2n],
      )
      assert.equal(
        (await client.getLogs({ address: picture.address, event: transfer, args: { tokenId: 1n }, fromBlock: 0n }))
          .length,
        1,
      )
      assert.deepEqual((await client.getLogs({ address: picture.address, blockHash })).length, 1)
    })

    it('has a contract that owns a territory and reserves stripes through the modules', async () => {
      const { client, wallet, deploy, write, read } = clients(12)
      const miners = { address: moduleAbis.Miners.address, abi: moduleAbis.Miners.abi as Abi }
      for (const index of [13, 14, 15]) {
        const miner = clients(index)
        const { address } = miner.wallet.account
        const peer = new Ed25519Key(new Uint8Array(32).fill(index))
        const message = registrationMessage(CHAIN_ID, address.toLowerCase() as Address)
        const signature = bytesToHex(peer.sign(message))
        const args = [bytesToHex(peer.publicKey), '/ip4/127.0.0.1/tcp/1', address, 64, 'eu', signature]
        await miner.write(miners, 'register', args, parseEther('1000'))
      }
      const archive = await deploy('Archive', [wallet.account.address])
      await write(archive, 'rent', [2n ** 30n, 50], parseEther('100'))
      const id: bigint = await read(archive, 'territory')
      const territories = getContract({ ...moduleAbis.Territories, client })
      assert.equal((await territories.read.ownerOf([id])).toLowerCase(), archive.address)
      assert.equal(await client.getBalance({ address: archive.address }), 0n)

      const { logs } = await write(archive, 'reserve', [2, 4])
      const storage = getContract({ ...moduleAbis.Storage, client })
      const [reservation] = await storage.read.reservationsOf([id, 0n, 10n])
      assert.deepEqual([reservation!.stripeCount, reservation!.territory], [4, id])
      assert.equal(reservation!.gateway.toLowerCase(), archive.address)
      // Events of modules stand among those of contracts.
      assert.ok(logs.some(({ address }) => address === moduleAbis.Storage.address.toLowerCase()))
      assert.ok(logs.some(({ address }) => address === archive.address))

      await assert.rejects(clients(16).write(archive, 'reserve', [2, 1]), /NotTheKeeper/)
      const [ok]: [boolean, Hex] = await read(archive, 'reserveStatically')
      assert.equal(ok, false)
    })

    it('gets proofs that somebody else’s trie accepts: accounts, slots, and their absence', async () => {
      const { client, wallet, deploy } = clients(17)
      const token = await deploy('Token', ['Proven', 'P', 77n])
      const { number, stateRoot } = await client.getBlock()
      const slots = [0n, 2n, 3n, 4n, 999n].map((slot) => toHex(slot, { size: 32 }))
      for (const address of [token.address, wallet.account.address, `0x${'12'.repeat(20)}`] as Hex[]) {
        const params = [address, slots, toHex(number)] as const
        const proof = await client.request({ method: 'eth_getProof', params: params as never })
        await verifyProof(address, proof, stateRoot)
        const lie = { ...proof, balance: toHex(BigInt(proof.balance) + 1n) }
        await assert.rejects(verifyProof(address, lie, stateRoot))
      }
      const supply = (await client.getProof({ address: token.address, storageKeys: slots })).storageProof
      assert.ok(supply.some(({ value }) => value === 77n))
    })

    it('sees the past, and calls with another state, block and sender', async () => {
      const { client, wallet, deploy, write } = clients(18)
      const token = await deploy('Token', ['Past', 'P', 100n])
      const before = await client.getBlockNumber({ cacheTime: 0 })
      const receiver = privateKeyToAccount(keys[19]!).address
      await write(token, 'transfer', [receiver, 40n])
      const balance = (extra: object) =>
        client.readContract({ ...token, functionName: 'balanceOf', args: [wallet.account.address], ...extra } as never)
      assert.deepEqual([await balance({}), await balance({ blockNumber: before })], [60n, 100n])
      const proof = await client.request({
        method: 'eth_getProof',
        params: [token.address, [toHex(2, { size: 32 })], toHex(before)],
      })
      await verifyProof(token.address, proof, (await client.getBlock({ blockNumber: before })).stateRoot)
      // A contract that is not there, at a time that is not now.
      const code = '0x42600052466020524360405260606000f3'
      const { data } = await client.call({
        to: receiver,
        stateOverride: [{ address: receiver, code }],
        blockOverrides: { time: 123n, number: 456n },
      })
      assert.equal(data, `0x${[123n, BigInt(CHAIN_ID), 456n].map((one) => toHex(one, { size: 32 }).slice(2)).join('')}`)
      const rich = await client.call({
        account: `0x${'99'.repeat(20)}`,
        to: receiver,
        value: 5n,
        stateOverride: [{ address: `0x${'99'.repeat(20)}`, balance: 5n }],
      })
      assert.equal(rich.data, undefined)
    })
  })
}
