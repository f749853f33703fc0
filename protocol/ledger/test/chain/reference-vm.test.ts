import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytesToHex, concatBytes, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { signSecp256k1 } from '@cumulus/signature'
import type { Address } from '@cumulus/types'
import { Address as EvmAddress } from '@ethereumjs/util'
import fc from 'fast-check'
import { encodeRlp, wordToBytes } from '../../src/trie/rlp.ts'
import {
  ADDER,
  account,
  alice,
  batchOf,
  bob,
  carol,
  common,
  deployer,
  ETHER,
  forwarder,
  genesis,
  openLedger,
  params,
  sign,
  type TestAccount,
} from './fixture.ts'
import { compare, openReference } from './reference.ts'

/** A long search is a matter of hours: CUMULUS_ORACLE_RUNS=10000. */
const RUNS = Number(process.env['CUMULUS_ORACLE_RUNS'] ?? 15)

const senders = [alice, bob, carol]

/** Creates a contract that stores a word and destroys itself in favour of its caller, in its own constructor. */
const SUICIDE = hexToBytes('602a5f5533ff')
/** Runtime code of a contract that destroys itself whenever it is called. */
const MORTAL = hexToBytes('33ff')
/** CREATE2 of its calldata with salt 5, then sends its balance to the child and keeps the child's address in slot 0. */
const FACTORY = hexToBytes('365f5f37' + '6005365f5ff5' + '80' + '5f5f5f5f47' + '855af150' + '5f55')
/** Runs for ever. */
const LOOP = hexToBytes('5b5f56')
/** Writes 1, 0, 2 and 0 into slot 3: refunds. */
const REFUNDER = hexToBytes('60016003555f60035560026003555f600355')
/** Writes and reads transient storage, hashes, copies, reads balances and code hashes of its caller. */
const MIXED = hexToBytes(
  ['602a5f5d', '5f5c5f55', '333f600155', '33315f52', '60205f20600255', '4346016003555f49', '48600455', '41600555'].join(
    '',
  ),
)

const [push0, push1] = ['5f', (byte: number) => `60${byte.toString(16).padStart(2, '0')}`] as const
const push20 = (address: Address) => `73${address.slice(2)}`
/** A call by `opcode` with one word of input, whatever lies at 0; the result goes into slot 9. */
const call = (opcode: string, to: Address, value: string) =>
  `${push0}${push0}${push1(32)}${push0}${value}${push20(to)}61ffff${opcode}${push1(9)}55`

const ENVIRONMENT = ['30', '32', '33', '34', '3a', '41', '42', '43', '44', '45', '46', '47', '48', '4a', '58', '59']

/** Pieces of bytecode that leave the stack as it was: any of them may follow any other. */
const pieces: readonly ((target: Address, n: number) => string)[] = [
  (_, n) => `${push1(n)}${push1(n % 5)}55`,
  (_, n) => `${push0}${push1(n % 5)}55`,
  (_, n) => `${push1(n % 5)}54${push1(3)}55`,
  (_, n) => `${push1(n)}${push1(n % 3)}5d${push1((n + 1) % 3)}5c${push1(4)}55`,
  (target) => `${push20(target)}31${push1(6)}55${push20(target)}3f${push1(7)}55${push20(target)}3b${push1(8)}55`,
  (target) => call('f1', target, push0),
  (target) => call('f1', target, push1(1)),
  (target) => call('f2', target, push1(1)),
  (target) => call('f4', target, ''),
  (target) => call('fa', target, ''),
  // Everything that knows where and when it is.
  () => `${push0}${ENVIRONMENT.map((opcode) => `${opcode}01`).join('')}${push1(10)}55`,
  // What is left of the gas: one unit too many anywhere before, and the roots differ.
  () => `5a${push1(11)}55`,
  // Hashes a word, and logs it with the hash for a topic.
  (_, n) => `${push1(n)}${push0}52${push1(32)}${push0}20${push1(32)}${push0}a1`,
  // Creates a contract with one byte of code, which is STOP; and one by CREATE2, twice at the same address or not.
  (_, n) => `6360015ff3${push0}52${push1(4)}${push1(28)}${push1(n % 2)}f0${push1(12)}55`,
  (_, n) => `6360015ff3${push0}52${push1(n % 3)}${push1(4)}${push1(28)}${push0}f5${push1(13)}55`,
  (_, n) => `${push1(n)}${push0}f3`,
  (_, n) => `${push1(n)}${push0}fd`,
  (target) => `${push20(target)}ff`,
  () => 'fe',
]

/** Random code made of those pieces: the first ones most often, the ends rarely. */
const anyCode = fc.array(fc.tuple(fc.nat(pieces.length * 2), fc.nat(255)), { minLength: 1, maxLength: 10 })

function codeOf(drawn: readonly (readonly [number, number])[], target: Address): Uint8Array {
  const ends = 4
  return hexToBytes(
    drawn.map(([piece, n]) => (pieces[piece] ?? pieces[piece % (pieces.length - ends)])!(target, n)).join(''),
  )
}

type Step = {
  from: number
  type: number
  kind: number
  value: bigint
  word: bigint
  gas: bigint
  target: number
  tip: bigint
  code: (readonly [number, number])[]
}
const step: fc.Arbitrary<Step> = fc.record({
  from: fc.nat(2),
  type: fc.constantFrom(0, 1, 2, 4, 4),
  kind: fc.oneof(fc.nat(20), fc.constantFrom(1, 12)),
  value: fc.constantFrom(0n, 0n, 0n, 1n, ETHER / 3n, 10n ** 30n),
  word: fc.constantFrom(0n, 1n, 5n, (1n << 256n) - 1n),
  gas: fc.constantFrom(21_000n, 30_000n, 60_000n, 100_000n, 400_000n, 400_000n),
  target: fc.nat(9),
  tip: fc.constantFrom(0n, 1n, 10n ** 9n),
  code: anyCode,
})

function transactionOf(s: Step, nonce: bigint, contracts: Address[]): Uint8Array {
  const from = senders[s.from]!
  const contract = contracts[s.target % Math.max(1, contracts.length)]
  const data = wordToBytes(s.word)
  const adder = contract ?? bob.address
  const content = [
    { to: account(26 + s.target).address, data },
    { to: contract ?? bob.address, data },
    { data: deployer(ADDER) },
    { data: SUICIDE },
    { data: deployer(MORTAL) },
    { data: deployer(FACTORY) },
    { data: deployer(LOOP) },
    { data: deployer(REFUNDER) },
    { data: deployer(MIXED) },
    { data: deployer(forwarder(adder, (['call', 'callcode', 'delegatecall', 'staticcall'] as const)[s.target % 4]!)) },
    { to: contract ?? bob.address, data: concatBytes(deployer(ADDER), data) },
    { to: `0x${(s.target + 1).toString(16).padStart(40, '0')}` as Address, data },
    { data: deployer(codeOf(s.code, adder)) },
    { data: codeOf(s.code, adder) },
  ][s.kind > 13 ? 1 : s.kind]!
  const type = s.type === 4 && !('to' in content) ? 2 : s.type
  return sign(from, {
    type,
    nonce,
    value: s.value,
    gasLimit: s.gas,
    maxPriorityFeePerGas: s.tip,
    ...content,
    ...(type === 1 || type === 2
      ? { accessList: [{ address: adder, storageKeys: [bytesToHex(wordToBytes(0n)), bytesToHex(wordToBytes(3n))] }] }
      : {}),
    ...(type === 4
      ? {
          authorizationList: [
            authorize(account(30), adder, s.word === 1n ? 1n : 0n),
            // The sender's nonce has gone up by then.
            authorize(from, adder, nonce + (s.word === 5n ? 1n : 0n)),
          ],
        }
      : {}),
  })
}

/** An account's consent to run the code of `address` (EIP-7702). */
function authorize(authority: TestAccount, address: Address, nonce: bigint) {
  const chainId = common.chainId()
  const message = keccak256(concatBytes(Uint8Array.of(5), encodeRlp([chainId, hexToBytes(address), nonce])))
  const { signature, recovery } = signSecp256k1(message, authority.privateKey)
  const hex = (value: bigint | number) => (value === 0n || value === 0 ? '0x' : (`0x${toEven(value)}` as const))
  return {
    chainId: hex(chainId),
    address,
    nonce: hex(nonce),
    yParity: hex(recovery),
    r: hex(BigInt(bytesToHex(signature.subarray(0, 32)))),
    s: hex(BigInt(bytesToHex(signature.subarray(32)))),
  }
}

function toEven(value: bigint | number): string {
  const digits = value.toString(16)
  return digits.length & 1 ? `0${digits}` : digits
}

describe('the ledger and @ethereumjs/vm with its own state manager', () => {
  it('give equal roots, gas, receipts and blooms for random transactions over several blocks', async () => {
    const seen = { ok: 0, failed: 0, dropped: 0, logs: 0, contracts: 0, delegations: 0 }
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { maxLength: 8 }), { minLength: 1, maxLength: 4 }), async (blocks) => {
        const [{ ledger }, vm] = [await openLedger(), await openReference(genesis.alloc)]
        const contracts: Address[] = []
        const runtimes = [ADDER, ADDER, MORTAL, FACTORY, LOOP, REFUNDER, MIXED]
        const first = await ledger.execute(
          batchOf(
            ledger,
            runtimes.map((code, i) => sign(alice, { nonce: BigInt(i), data: deployer(code), gasLimit: 200_000n })),
          ),
        )
        await compare(vm, first)
        for (const { contractAddress } of first.receipts) contracts.push(contractAddress!)
        for (const steps of blocks) {
          const nonces = senders.map(({ address }) => ledger.getNonce(address))
          const raws = steps.map((s) => transactionOf(s, nonces[s.from]!++, contracts))
          // With and without a committee.
          const consensusRoot = steps.length % 2 === 0 ? undefined : keccak256(raws[0]!)
          const executed = await ledger.execute(batchOf(ledger, raws, { consensusRoot }))
          await compare(vm, executed)
          for (const { contractAddress, ok, logs } of executed.receipts) {
            if (contractAddress && ledger.getCode(contractAddress).length > 0) contracts.push(contractAddress)
            seen.logs += logs.length
            seen[ok ? 'ok' : 'failed']++
          }
          seen.dropped += executed.dropped.length
        }
        seen.contracts += contracts.length
        if (ledger.getCode(account(30).address).length > 0) seen.delegations++
      }),
      { numRuns: RUNS },
    )
    // The test tests something: each kind of outcome came up.
    for (const [what, count] of Object.entries(seen)) assert.ok(count > 0, `${what}: ${count}`)
  })

  it('are told apart: a state that differs by one wei has another root', async () => {
    const [{ ledger }, vm] = [await openLedger(), await openReference(genesis.alloc)]
    const executed = await ledger.execute(batchOf(ledger, [sign(alice, { nonce: 0n, to: bob.address, value: 1n })]))
    const address = new EvmAddress(hexToBytes(carol.address))
    const before = (await vm.stateManager.getAccount(address))!
    before.balance += 1n
    await vm.stateManager.putAccount(address, before)
    await assert.rejects(compare(vm, executed), /state root/)
    assert.equal(params.chainId, ledger.params.chainId)
  })
})
