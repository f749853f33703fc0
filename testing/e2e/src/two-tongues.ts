import { hexToBytes } from '@cumulus/bytes'
import { dial, FrameOp, PeerIdentity, parseAddress, type Session } from '@cumulus/network'
import { type Block, encodeMessage, genesisDigest, sealBlock } from '@cumulus/r2s'
import type { ValidatorNetwork } from './validator-network.ts'

/**
 * A member with two tongues: it has the keys of a seat, signs two blocks of the first round, and tells some one and the others
 * the other. No honest process does it, however it is killed and copied; so it is made by hand.
 */
export class TwoTongues {
  readonly blocks: readonly [Block, Block]
  readonly #sessions: readonly Session[]

  private constructor(blocks: readonly [Block, Block], sessions: readonly Session[]) {
    this.blocks = blocks
    this.#sessions = sessions
  }

  /** @param seat of a member that does not run; the lowest, which is the one that dials */
  static async speak(network: ValidatorNetwork, seat: number): Promise<TwoTongues> {
    const { members } = network.genesis.committee!
    const identity = await PeerIdentity.loadOrCreate(network.validators[seat]!.dir)
    const others = network.validators.filter((_, index) => index !== seat)
    const anchor = await others[0]!.request<{ hash: `0x${string}` }>('eth_getBlockByNumber', '0x0', false)
    const chainId = BigInt(await others[0]!.request<string>('eth_chainId'))
    const authors = [seat, ...members.keys().filter((index) => index !== seat)]
    const parents = authors.map((author) => ({
      author,
      round: 0,
      digest: genesisDigest(hexToBytes(anchor.hash), author),
    }))
    const sealed = (tsMs: number): Block =>
      sealBlock(
        {
          chainId,
          era: 0,
          round: 1,
          author: seat,
          tsMs,
          exposed: 0,
          parents,
          coinShare: null,
          votes: [],
          evidence: null,
          txCount: 0,
        },
        new Uint8Array(0),
        (message) => identity.sign(message),
      )
    const now = Date.now()
    const blocks = [sealed(now), sealed(now + 1)] as const
    const sessions = await Promise.all(
      members.flatMap(({ address, peerKey }, index) => {
        if (index === seat) return []
        // It listens to nobody.
        const handlers = { [FrameOp.dag]: () => ({}) }
        return [dial({ identity, address: parseAddress(address), expectedPeerKey: hexToBytes(peerKey), handlers })]
      }),
    )
    await Promise.all(
      sessions.map((session, index) => {
        const block = blocks[index === sessions.length - 1 ? 1 : 0]!
        return session.request(FrameOp.dag, { body: encodeMessage({ kind: 'block', block }) })
      }),
    )
    return new TwoTongues(blocks, sessions)
  }

  close(): void {
    for (const session of this.#sessions) session.close()
  }
}
