import { MySQLAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'

/** Connects to each database it is told, does something there, and says how it went. */
export interface ConnectMessage {
  readonly ready?: boolean
  readonly url?: string
  readonly error?: string
}

process.on('message', async (url: string) => {
  const pool = createPool({ uri: url })
  const state = new MySQLAdapter(pool, { keyPrefix: 'shop:' })
  try {
    await state.connect()
    await state.set(`process ${process.pid}`, true)
    process.send?.({ url } satisfies ConnectMessage)
  } catch (error) {
    process.send?.({ url, error: String(error) } satisfies ConnectMessage)
  } finally {
    await state.disconnect()
    await pool.end()
  }
})
process.send?.({ ready: true } satisfies ConnectMessage)
