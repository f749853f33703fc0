/**
 * Makes `vectors/` anew, in the format of the official GeneralStateTests. Roots and logs are those of `@ethereumjs/vm` with
 * its own state manager: nothing of the ledger has a part in them.
 *
 *     node --conditions=@cumulus/source protocol/ledger/test/state-tests/make-vectors.ts
 */
import { writeFile } from 'node:fs/promises'
import { bytesToHex, concatBytes, hexToBytes } from '@cumulus/bytes'
import { createBlock } from '@ethereumjs/block'
import { createCustomCommon, Hardfork, Mainnet } from '@ethereumjs/common'
import { createEVM } from '@ethereumjs/evm'
import { createMPT } from '@ethereumjs/mpt'
import { RLP } from '@ethereumjs/rlp'
import { MerkleStateManager } from '@ethereumjs/statemanager'
import { createAccessList2930Tx, createFeeMarket1559Tx, createLegacyTx } from '@ethereumjs/tx'
import { Account, Address, type PrefixedHexString } from '@ethereumjs/util'
import { createVM, runTx } from '@ethereumjs/vm'
import { keccak256 } from 'viem'

import { ADDER, account, deployer } from '../chain/fixture.ts'
import type { StateTestCase, StateTestFile, StateTestPost } from './state-test.ts'

type Hex = `0x${string}`
const common = createCustomCommon({ chainId: 1, name: 'mainnet' }, Mainnet, { hardfork: Hardfork.Osaka })
const [alice, bob] = [account(1), account(2)]
const CONTRACT = `0x${'c0'.repeat(20)}` as const
const hex = (value: bigint | number): Hex => `0x${value.toString(16)}`
const word = (value: bigint): Hex => `0x${value.toString(16).padStart(64, '0')}`

const env = {
  currentCoinbase: `0x${'cb'.repeat(20)}`,
  currentGasLimit: '0x5f5e100',
  currentNumber: '0x1',
  currentTimestamp: '0x3e8',
  currentRandom: word(7n),
  currentDifficulty: '0x0',
  currentBaseFee: '0xa',
}
const plain = { nonce: '0x0', code: '0x', storage: {} }
const pre: StateTestCase['pre'] = {
  [alice.address]: { ...plain, balance: hex(10n ** 18n) },
  [CONTRACT]: {
    balance: '0x1',
    nonce: '0x1',
    code: bytesToHex(ADDER),
    storage: { [word(0n)]: '0x09', '0x05': '0x2a' },
  },
}

/** All that varies, as the format has it: one list each. */
interface Wanted {
  readonly type?: 0 | 1 | 2
  readonly to: Hex | ''
  readonly data: readonly Hex[]
  readonly gasLimit: readonly bigint[]
  readonly value: readonly bigint[]
  readonly nonce?: bigint
  readonly accessLists?: { address: Hex; storageKeys: Hex[] }[]
  readonly expectException?: string
}

async function caseOf(wanted: Wanted): Promise<StateTestCase> {
  const { type = 0, to, nonce = 0n, expectException } = wanted
  const post: StateTestPost[] = []
  for (const [data, input] of wanted.data.entries()) {
    for (const [gas, gasLimit] of wanted.gasLimit.entries()) {
      for (const [value, amount] of wanted.value.entries()) {
        const fields = { nonce, gasLimit, to: to || undefined, value: amount, data: input }
        const accessList = wanted.accessLists
        const tx = (
          type === 0
            ? createLegacyTx({ ...fields, gasPrice: 20n }, { common })
            : type === 1
              ? createAccessList2930Tx({ ...fields, gasPrice: 20n, accessList, chainId: 1n }, { common })
              : createFeeMarket1559Tx(
                  { ...fields, maxFeePerGas: 20n, maxPriorityFeePerGas: 3n, accessList, chainId: 1n },
                  { common },
                )
        ).sign(alice.privateKey)
        const vm = await openReference()
        const block = createBlock(
          {
            header: {
              number: 1n,
              coinbase: new Address(hexToBytes(env.currentCoinbase)),
              timestamp: BigInt(env.currentTimestamp),
              gasLimit: BigInt(env.currentGasLimit),
              baseFeePerGas: BigInt(env.currentBaseFee),
              mixHash: hexToBytes(env.currentRandom),
            },
          },
          { common, skipConsensusFormatValidation: true },
        )
        let logs: unknown[] = []
        if (expectException === undefined) logs = (await runTx(vm, { tx, block })).execResult.logs ?? []
        post.push({
          hash: bytesToHex(await vm.stateManager.getStateRoot()),
          logs: keccak256(RLP.encode(logs as Uint8Array[])),
          txbytes: bytesToHex(tx.serialize()),
          indexes: { data, gas, value },
          ...(expectException && { expectException }),
        })
      }
    }
  }
  const transaction = {
    data: wanted.data,
    gasLimit: wanted.gasLimit.map(hex),
    value: wanted.value.map(hex),
    nonce: hex(nonce),
    gasPrice: '0x14',
    sender: alice.address,
    secretKey: bytesToHex(alice.privateKey),
    to,
  }
  return { env, pre, transaction, post: { Osaka: post }, config: { chainid: '0x01' } }
}

async function openReference() {
  const stateManager = new MerkleStateManager({ common, trie: await createMPT({ useKeyHashing: true }) })
  const vm = await createVM({ common, stateManager, evm: await createEVM({ common, stateManager }) })
  for (const [address, { balance, nonce, code, storage }] of Object.entries(pre)) {
    const at = new Address(hexToBytes(address))
    await stateManager.putAccount(at, new Account(BigInt(nonce), BigInt(balance)))
    if (code !== '0x') await stateManager.putCode(at, hexToBytes(code))
    for (const [slot, value] of Object.entries(storage)) {
      const bytes = hexToBytes(BigInt(value).toString(16).padStart(2, '0'))
      await stateManager.putStorage(at, hexToBytes(word(BigInt(slot))), bytes)
    }
  }
  return vm
}

const creation = bytesToHex(concatBytes(deployer(ADDER), new Uint8Array(3))) as PrefixedHexString
const vectors: Record<string, Wanted> = {
  transfer: { to: bob.address, data: ['0x', '0x00ff'], gasLimit: [21_000n + 400n], value: [0n, 1_000n] },
  contract: { type: 2, to: CONTRACT, data: [word(5n), word(0n)], gasLimit: [100_000n, 24_000n], value: [0n, 1n] },
  accessList: {
    type: 1,
    to: CONTRACT,
    data: [word((1n << 256n) - 9n)],
    gasLimit: [100_000n],
    value: [0n],
    accessLists: [{ address: CONTRACT, storageKeys: [word(0n), word(5n)] }],
  },
  creation: { to: '', data: [creation], gasLimit: [200_000n, 60_000n], value: [3n] },
  futureNonce: {
    to: bob.address,
    data: ['0x'],
    gasLimit: [21_000n],
    value: [0n],
    nonce: 4n,
    expectException: 'TransactionException.NONCE_MISMATCH_TOO_HIGH',
  },
}
/** Names of files to what is in them. */
export async function makeVectors(): Promise<Record<string, StateTestFile>> {
  const files: Record<string, StateTestFile> = {}
  for (const [name, wanted] of Object.entries(vectors)) files[`${name}.json`] = { [name]: await caseOf(wanted) }
  return files
}

if (import.meta.main) {
  for (const [name, file] of Object.entries(await makeVectors())) {
    await writeFile(new URL(`./vectors/${name}`, import.meta.url), `${JSON.stringify(file, undefined, 2)}\n`)
  }
}
