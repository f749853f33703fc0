import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createPublicClient, createWalletClient, defineChain, http, parseAbi, parseEther, webSocket } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { LocalNetwork } from '../src/local-network.ts'
import { seededBytes } from '../src/seeded-bytes.ts'

describe('a lite network of three miners', { concurrency: false }, () => {
  let network: LocalNetwork
  before(async () => {
    network = await LocalNetwork.start({ args: ['--lite', '--miners', '3', '--space', '256MiB'] })
  })
  after(() => network?.remove())

  it('is one process with every role in it', async () => {
    assert.equal(new Set(network.file.processes.map((entry) => entry.pid)).size, 1)
    const { processes } = await network.status()
    assert.deepEqual(
      processes.map((entry) => [entry.role, entry.ok]),
      [
        ['validator', true],
        ['miner', true],
        ['miner', true],
        ['miner', true],
        ['tee-worker', true],
        ['gateway', true],
      ],
    )
  })

  it('stores, lists, shows, fetches and deletes by the command line', async () => {
    const source = join(network.dir, 'source.bin')
    const target = join(network.dir, 'target.bin')
    await writeFile(source, seededBytes('lite', 20 * 2 ** 20))
    await network.cumulus('put', source, 'box/a/')
    const listed = (await network.cumulus('ls', 'box', '--recursive', '--json'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.deepEqual(
      listed.map(({ key, size }) => [key, size]),
      [['a/source.bin', 20 * 2 ** 20]],
    )
    assert.equal(JSON.parse(await network.cumulus('stat', 'box/a/source.bin', '--json')).bytes, 20 * 2 ** 20)
    await network.cumulus('get', 'box/a/source.bin', target)
    assert.deepEqual(await readFile(target), await readFile(source))
    await network.cumulus('rm', 'box/a/source.bin')
    assert.equal((await network.cumulus('ls', 'box')).trim(), '')
    await assert.rejects(network.cumulus('get', 'box/a/source.bin', target), /NoSuchKey/)
  })

  it('has funded accounts, and a chain that viem sends to, waits for and listens to', async () => {
    const { rpc, chainId, accounts } = network.file
    const chain = defineChain({
      id: chainId,
      name: 'Cumulus',
      nativeCurrency: { name: 'Token', symbol: 'CUM', decimals: 18 },
      rpcUrls: { default: { http: [rpc.http] } },
    })
    const reader = createPublicClient({ chain, transport: http(), pollingInterval: 100 })
    const account = privateKeyToAccount(accounts[0]!.privateKey as `0x${string}`)
    const wallet = createWalletClient({ chain, account, transport: http() })
    const to = accounts[1]!.address as `0x${string}`
    const before = await reader.getBalance({ address: to })
    const receipt = await reader.waitForTransactionReceipt({
      hash: await wallet.sendTransaction({ to, value: parseEther('3') }),
    })
    assert.equal(receipt.status, 'success')
    assert.equal((await reader.getBalance({ address: to })) - before, parseEther('3'))

    // A territory is an ERC-721 token of a module at a fixed address.
    const territories = '0x0000000000000000000000000000000000000c05'
    const abi = parseAbi([
      'function price(uint64 capacityBytes, uint32 epochs) view returns (uint256)',
      'function mint(string name, uint64 capacityBytes, uint32 epochs, address owner) payable returns (uint256 id)',
      'function ownerOf(uint256 id) view returns (address)',
      'event TerritoryMinted(uint256 indexed id, address indexed owner, string name, uint64 capacityBytes, uint64 expiresAtEpoch)',
    ])
    const listener = createPublicClient({ chain, transport: webSocket(rpc.ws, { reconnect: false, keepAlive: false }) })
    const seen = Promise.withResolvers<bigint>()
    const unwatch = listener.watchContractEvent({
      address: territories,
      abi,
      eventName: 'TerritoryMinted',
      onLogs: ([log]) => seen.resolve(log!.args.id!),
      onError: seen.reject,
    })
    const capacity = 2n ** 30n
    const value = await reader.readContract({ address: territories, abi, functionName: 'price', args: [capacity, 10] })
    const minted = await reader.waitForTransactionReceipt({
      hash: await wallet.writeContract({
        address: territories,
        abi,
        functionName: 'mint',
        args: ['field', capacity, 10, account.address],
        value,
      }),
    })
    assert.equal(minted.status, 'success')
    const id = await seen.promise
    unwatch()
    assert.equal(
      await reader.readContract({ address: territories, abi, functionName: 'ownerOf', args: [id] }),
      account.address,
    )
    const logs = await reader.getContractEvents({
      address: territories,
      abi,
      eventName: 'TerritoryMinted',
      args: { owner: account.address },
      fromBlock: 0n,
    })
    assert.deepEqual(
      logs.map((log) => log.args.id),
      [id],
    )
    ;(await listener.transport.getRpcClient()).close()
  })

  it('says what is wrong and what to do when asked for what is not there', async () => {
    await assert.rejects(network.cumulus('logs', 'nobody'), /no process "nobody".*\n?.*There are: validator-1/)
    await assert.rejects(network.cumulus('put', '/no/such/file', 'box'), /NO_SUCH_FILE/)
    await assert.rejects(network.cumulus('ls', '--user', 'eve'), /no user "eve".*\n?.*There are: main, alt/)
    await assert.rejects(network.cumulus('gateway', 'recover', '--key', '0x12'), /BAD_KEY/)
  })

  it('goes on after down and up', async () => {
    const source = join(network.dir, 'kept.bin')
    await writeFile(source, seededBytes('kept', 300_000))
    await network.cumulus('put', source, 'box/')
    await network.down()
    await network.up()
    await network.cumulus('get', 'box/kept.bin', `${source}.back`)
    assert.deepEqual(await readFile(`${source}.back`), await readFile(source))
  })
})
