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

type Step = {
  from: number
  type: number
  kind: number
  value: bigint
  word: bigint
  gas: bigint
  target: number
  tip: bigint
}
const step: fc.Arbitrary<Step> = fc.record({
  from: fc.nat(2),
  type: fc.constantFrom(0, 1, 2, 4, 4),
  kind: fc.nat(15),
  value: fc.constantFrom(0n, 0n, 0n, 1n, ETHER / 3n, 10n ** 30n),
  word: fc.constantFrom(0n, 1n, 5n, (1n << 256n) - 1n),
  gas: fc.constantFrom(21_000n, 30_000n, 60_000n, 100_000n, 400_000n, 400_000n),
  target: fc.nat(9),
  tip: fc.constantFrom(0n, 1n, 10n ** 9n),
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
  ][s.kind > 11 ? 1 : s.kind]!
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
      { numRuns: 25 },
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
