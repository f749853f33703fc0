import { utf8Encode } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { AnyModule } from './module.ts'

/** A module's ABI as a Solidity file that contracts import, with a constant for the module at its address. */
export function solidityInterface(module: Pick<AnyModule, 'name' | 'address' | 'definition' | 'signatures'>): string {
  const { name, address, definition, signatures } = module
  const structs = definition.structs ?? []
  const structNames = new Set(structs.map((one) => one.trim().split(/\s+/)[1]!))
  const lines = [
    ...structs,
    ...Object.values(definition.errors ?? {}).map((one) => `${one};`),
    ...Object.values(definition.events ?? {}).map((one) => `${one};`),
    ...signatures.map((one) => functionLine(one, structNames)),
  ]
  return [
    '// SPDX-License-Identifier: Apache-2.0',
    'pragma solidity ^0.8.0;',
    '',
    ...(definition.about ? [`/// @notice ${definition.about} At ${address}.`] : [`/// @notice At ${address}.`]),
    `interface ${name} {`,
    ...lines.map((line) => `  ${line}`),
    '}',
    '',
    `${name} constant ${upperSnake(name)} = ${name}(${checksummed(address)});`,
    '',
  ].join('\n')
}

/** `function f(string a) view returns (Miner)` → `function f(string calldata a) external view returns (Miner memory);` */
function functionLine(signature: string, structNames: ReadonlySet<string>): string {
  const parts = /^function (\w+)\s*\((.*?)\)\s*(view|pure|payable)?\s*(?:returns\s*\((.*)\))?$/.exec(signature)
  if (!parts) throw new Error(`not a function signature: ${signature}`)
  const [, name, inputs = '', mutability, outputs] = parts
  const words = [`function ${name}(${located(inputs, 'calldata', structNames)})`, 'external']
  if (mutability) words.push(mutability)
  if (outputs !== undefined) words.push(`returns (${located(outputs, 'memory', structNames)})`)
  return `${words.join(' ')};`
}

/** Solidity wants to know where arrays, structs, strings and bytes are kept. */
function located(parameters: string, place: 'calldata' | 'memory', structNames: ReadonlySet<string>): string {
  if (parameters.trim() === '') return ''
  return parameters
    .split(',')
    .map((parameter) => {
      const [type, ...rest] = parameter.trim().split(/\s+/)
      const reference = type === 'string' || type === 'bytes' || type!.endsWith(']') || structNames.has(type!)
      return [type, ...(reference ? [place] : []), ...rest].join(' ')
    })
    .join(', ')
}

/** `TeeWorkers` → `TEE_WORKERS` */
function upperSnake(name: string): string {
  return name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase()
}

/** The letters of an address as EIP-55 wants them; Solidity insists. */
function checksummed(address: string): string {
  const digits = address.slice(2).toLowerCase()
  const hash = keccak256(utf8Encode(digits)).toHex()
  return `0x${[...digits].map((digit, i) => (hash[i]! >= '8' ? digit.toUpperCase() : digit)).join('')}`
}
