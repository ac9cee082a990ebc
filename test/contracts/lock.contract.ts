import { describe, expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'

onEveryServer('locks', (context) => {
  describe('acquire', () => {
    it('grants a free lock and refuses a held one', async () => {
      const state = await context.adapter()
      const lock = await state.acquire('invoice', 10_000)
      expect(lock).not.toBeNull()
      expect(await state.acquire('invoice', 10_000)).toBeNull()
      await lock?.release()
      expect(await state.acquire('invoice', 10_000)).not.toBeNull()
    })
  })
})
