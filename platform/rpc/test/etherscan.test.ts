import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hexToBytes } from '@cumulus/bytes'
import { compareCode } from '../src/etherscan/compare.ts'
import { alice, token } from './fake-chain.ts'
import { Harness } from './harness.ts'

const solc = createRequire(import.meta.url)('solc') as { compile(input: string): string; version(): string }
const compilerversion = `v${solc.version().replace('.Emscripten.clang', '')}`

const content = `
pragma solidity ^0.8.0;
contract Box {
  uint256 public immutable size;
  constructor(uint256 size_) { size = size_; }
}`
const input = {
  language: 'Solidity',
  sources: { 'Box.sol': { content } },
  settings: { optimizer: { enabled: true, runs: 7 }, outputSelection: { '*': { '*': ['evm.deployedBytecode'] } } },
}

interface Answer {
  readonly status: string
  readonly message: string
  readonly result: never
}

describe('the API of Etherscan', () => {
  let rpc: Harness
  let dir: string
  let onChain: Uint8Array
  const get = async (query: Record<string, string>): Promise<Answer> => {
    const response = await fetch(`${rpc.url}/api?${new URLSearchParams(query)}`)
    assert.equal(response.status, 200)
    return (await response.json()) as Answer
  }
  const post = async (fields: Record<string, string>): Promise<Answer> => {
    const query = { module: 'contract', action: 'verifysourcecode' }
    const body = new URLSearchParams(fields)
    return (await (
      await fetch(`${rpc.url}/api?${new URLSearchParams(query)}`, { method: 'POST', body })
    ).json()) as Answer
  }
  const verify = async (fields: Record<string, string> = {}): Promise<Answer> => {
    const { status, result } = await post({
      contractaddress: token,
      codeformat: 'solidity-standard-json-input',
      sourceCode: JSON.stringify(input),
      contractname: 'Box.sol:Box',
      compilerversion,
      ...fields,
    })
    assert.equal(status, '1', result)
    for (;;) {
      const answer = await get({ module: 'contract', action: 'checkverifystatus', guid: result })
      if ((answer.result as string) !== 'Pending in queue') return answer
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  const start = () => Harness.start({ verification: { dir, waitingMax: 2 }, code: () => onChain })

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-sources-'))
    const { contracts } = JSON.parse(solc.compile(JSON.stringify(input)))
    const { object, immutableReferences } = contracts['Box.sol'].Box.evm.deployedBytecode
    onChain = hexToBytes(`0x${object}`)
    // As the constructor leaves it.
    for (const { start, length } of Object.values(immutableReferences).flat() as { start: number; length: number }[]) {
      onChain[start + length - 1] = 42
    }
    rpc = await start()
    for (let i = 0; i < 5; i++) rpc.chain.append([])
  })
  after(async () => {
    await rpc.close()
    await rm(dir, { recursive: true })
  })

  it('refuses what does not make the code on chain, and says why', async () => {
    assert.equal(
      (await get({ module: 'contract', action: 'getabi', address: token })).result,
      'Contract source code not verified',
    )
    const cases: [Record<string, string>, RegExp][] = [
      [{ sourceCode: JSON.stringify({ ...input, settings: { optimizer: { enabled: false } } }) }, /does not match/],
      [{ compilerversion: 'v0.5.16+commit.9c3226ce' }, /compiler v0\.5\.16.* is not supported: this node has v0\.8/],
      [{ sourceCode: '{' }, /no standard JSON/],
      [{ contractname: 'Box.sol:Bax' }, /there is no contract Box\.sol:Bax/],
      [
        { sourceCode: JSON.stringify({ ...input, sources: { 'Box.sol': { content: 'contract' } } }) },
        /compilation failed/,
      ],
      [
        { sourceCode: JSON.stringify({ ...input, sources: { 'Box.sol': { urls: ['/etc/passwd'] } } }) },
        /compilation failed/,
      ],
    ]
    for (const [fields, message] of cases) {
      const { status, result } = await verify(fields)
      assert.equal(status, '0')
      assert.match(result, /^Fail - Unable to verify\. /)
      assert.match(result, message)
    }
  })

  it('verifies the source of a contract with immutable variables, keeps it over a restart, and gives it back', async () => {
    assert.deepEqual(await verify(), { status: '1', message: 'OK', result: 'Pass - Verified' })
    await rpc.close()
    rpc = await start()
    for (let i = 0; i < 5; i++) rpc.chain.append([])
    const abi = JSON.parse((await get({ module: 'contract', action: 'getabi', address: token })).result)
    assert.ok(abi.some(({ name }: { name?: string }) => name === 'size'))
    const [source] = (await get({ module: 'contract', action: 'getsourcecode', address: token })).result as Record<
      string,
      string
    >[]
    assert.deepEqual([source!['ContractName'], source!['Runs'], source!['MatchType']], ['Box', '7', 'exact'])
    assert.equal(JSON.parse(source!['SourceCode']!.slice(1, -1)).sources['Box.sol'].content, content)
    assert.match((await post({ contractaddress: token })).result, /already verified/)
  })

  it('does not show a source for other code at the same address', async () => {
    const before = onChain
    onChain = Uint8Array.of(0xfe)
    assert.match((await get({ module: 'contract', action: 'getabi', address: token })).result, /not verified/)
    onChain = before
  })

  it('keeps only so many bytes of sources, and gives the compiler only so much memory', async () => {
    const other = await mkdtemp(join(tmpdir(), 'cumulus-sources-'))
    const restart = async (verification: { sourceBytesMax?: number; compilerBytesMax?: number }) => {
      await rpc.close()
      rpc = await Harness.start({ verification: { dir: other, ...verification }, code: () => onChain })
    }
    await restart({ sourceBytesMax: 500 })
    assert.match((await verify()).result, /it is the source, but this node keeps no further sources/)
    await restart({ compilerBytesMax: 40 * 2 ** 20 })
    const lines = Array.from(
      { length: 800 },
      (_, i) => `function f${i}(uint a) public pure returns (uint) { return a * ${i}; }`,
    )
    const long = { ...input, sources: { 'Box.sol': { content: `contract Box { ${lines.join('\n')} }` } } }
    assert.match(
      (await verify({ sourceCode: JSON.stringify(long) })).result,
      /wants more memory than the 41943040 bytes/,
    )
    assert.equal((await verify()).result, 'Pass - Verified')
    await rpc.close()
    await rm(other, { recursive: true })
    rpc = await start()
    for (let i = 0; i < 5; i++) rpc.chain.append([])
  })

  it('takes only so many verifications at a time', async () => {
    onChain = Uint8Array.of(0x60, 0x01)
    const begin = () =>
      post({ contractaddress: token, sourceCode: '{', codeformat: 'solidity-standard-json-input', compilerversion })
    const answers = await Promise.all([begin(), begin(), begin()])
    assert.ok(answers.filter(({ status }) => status === '1').length >= 2)
    for (const { result } of answers.filter(({ status }) => status === '0')) assert.match(result, /^Max rate limit/)
  })

  it('answers for balances, receipts and blocks by time', async () => {
    const { timestamp } = rpc.chain.block(3n)!
    const transaction = rpc.chain.block(2n)!.transactions[0]!.hash
    const at = (time: bigint, closest: string) =>
      get({ module: 'block', action: 'getblocknobytime', timestamp: String(time), closest })
    assert.equal((await get({ module: 'account', action: 'balance', address: alice })).result, '1000')
    assert.deepEqual((await get({ module: 'account', action: 'balancemulti', address: `${alice},${token}` })).result, [
      { account: alice, balance: '1000' },
      { account: token, balance: '1000' },
    ])
    assert.deepEqual((await get({ module: 'transaction', action: 'gettxreceiptstatus', txhash: transaction })).result, {
      status: '1',
    })
    assert.deepEqual((await get({ module: 'transaction', action: 'getstatus', txhash: transaction })).result, {
      isError: '0',
      errDescription: '',
    })
    assert.equal((await at(timestamp, 'before')).result, '3')
    assert.equal((await at(timestamp, 'after')).result, '3')
    assert.equal((await at(timestamp + 100n, 'before')).result, '5')
    assert.equal((await at(timestamp + 100n, 'after')).status, '0')
    assert.equal((await at(1n, 'before')).status, '0')
    assert.equal((await at(1n, 'after')).result, '0')
  })

  it('passes proxy requests on to JSON-RPC', async () => {
    const { result } = await get({ module: 'proxy', action: 'eth_blockNumber' })
    assert.equal(result, '0x5')
    assert.equal(
      (await get({ module: 'proxy', action: 'eth_call', to: token, data: '0x12', tag: 'latest' })).result,
      `0x${'00'.repeat(32)}`,
    )
  })

  it('says in words what is wrong and what it does not offer', async () => {
    const cases: [Record<string, string>, RegExp][] = [
      [{}, /Invalid Action name/i],
      [{ module: 'contract', action: 'constructor' }, /Invalid Action name/i],
      [{ module: 'proxy', action: 'debug_traceTransaction' }, /Invalid Action name/i],
      [{ module: 'account', action: 'txlist', address: alice }, /no index of transactions by account/],
      [{ module: 'account', action: 'balance', address: '0x12' }, /address must be an address/],
      [{ module: 'block', action: 'getblocknobytime', timestamp: 'x' }, /must be a number/],
      [{ module: 'contract', action: 'checkverifystatus', guid: 'none' }, /Unknown UID/],
    ]
    for (const [query, message] of cases) {
      const { status, message: word, result } = await get(query)
      assert.deepEqual([status, word], ['0', 'NOTOK'])
      assert.match(result, message)
    }
  })

  it('ignores files in its folder that it did not write', async () => {
    await writeFile(join(dir, 'notes.txt'), 'x')
    await (await start()).close()
  })
})

describe('code on chain', () => {
  const metadata = (digest: number) => [0xa1, 0x61, 0x61, digest, 0x00, 0x04]
  const code = (digest: number, body = [1, 2, 3, 4]) => Uint8Array.from([...body, ...metadata(digest)])
  it('is exact, or the same but for its metadata, or different', () => {
    assert.equal(compareCode(code(7), code(7), {}), 'exact')
    assert.equal(compareCode(code(8), code(7), {}), 'same but for the metadata')
    assert.equal(compareCode(code(7, [1, 2, 9, 4]), code(7), {}), 'different')
    assert.equal(compareCode(code(7, [1, 2, 9, 4]), code(7), { 1: [{ start: 2, length: 1 }] }), 'exact')
    assert.equal(compareCode(new Uint8Array(0), new Uint8Array(0), {}), 'different')
    assert.equal(compareCode(Uint8Array.of(1, 2), Uint8Array.of(1, 3), {}), 'different')
  })
})
