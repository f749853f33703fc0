/** What geth says where `@ethereumjs/evm` says something else: tools look at the words. */
const GETH_ERRORS: Readonly<Record<string, string>> = {
  revert: 'execution reverted',
  'code store out of gas': 'contract creation code storage out of gas',
  'code size to deposit exceeds maximum code size': 'max code size exceeded',
  'invalid JUMP': 'invalid jump destination',
  'value out of range': 'return data out of bounds',
  'static state change': 'write protection',
  'create collision': 'contract address collision',
  'insufficient balance': 'insufficient balance for transfer',
  'invalid bytecode deployed': 'invalid code: must not begin with 0xef',
  'initcode exceeds max initcode size': 'max initcode size exceeded',
}

export function gethError(error: string): string {
  return GETH_ERRORS[error] ?? error
}

export function hexNumber(value: bigint | number): `0x${string}` {
  return `0x${value.toString(16)}`
}
