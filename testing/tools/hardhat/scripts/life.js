/** What a project does on a chain: deploys, uses, reads events, is refused. Ends with 0 only if all of it went as it should. */
import assert from 'node:assert/strict'
import { network } from 'hardhat'

const { viem } = await network.connect()
const client = await viem.getPublicClient()
const [alice, bob] = await viem.getWalletClients()
assert.equal(await client.getChainId(), 27103)
/** As on any network: what was sent shows once it is in a block. */
const mined = async (sent) => client.waitForTransactionReceipt({ hash: await sent, pollingInterval: 20 })

const token = await viem.deployContract('Token', ['Votes', 'VOTE', 10n ** 21n])
await mined(token.write.transfer([bob.account.address, 5n * 10n ** 18n]))
assert.equal(await token.read.balanceOf([bob.account.address]), 5n * 10n ** 18n)
await assert.rejects(token.write.transfer([bob.account.address, 10n ** 30n]), /ERC20InsufficientBalance/)
const [moved] = await token.getEvents.Transfer({ to: bob.account.address }, { fromBlock: 0n })
assert.equal(moved.args.value, 5n * 10n ** 18n)

const picture = await viem.deployContract('Picture')
await mined(picture.write.mint([bob.account.address]))
assert.equal((await picture.read.ownerOf([1n])).toLowerCase(), bob.account.address.toLowerCase())
await assert.rejects(picture.write.mint([bob.account.address], { account: bob.account }), /OwnableUnauthorizedAccount/)

const other = await viem.getContractAt('Picture', picture.address, { client: { wallet: bob } })
await mined(other.write.transferFrom([bob.account.address, alice.account.address, 1n]))
assert.equal(await picture.read.balanceOf([alice.account.address]), 1n)

process.stdout.write(`${JSON.stringify({ token: token.address, picture: picture.address })}\n`)
