import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** Runs an example's program to its end on a database. Its exit code, and what it printed. */
export async function runExample(
  program: string,
  databaseUrl: string,
  ...options: string[]
): Promise<{ code: number; output: string }> {
  const command = ['--import', 'tsx', `examples/${program}`, ...options]
  const env = { ...process.env, DATABASE_URL: databaseUrl }
  try {
    const { stdout } = await promisify(execFile)(process.execPath, command, { env })
    return { code: 0, output: stdout }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { code, output: stdout + stderr }
  }
}
