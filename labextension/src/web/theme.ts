/** Light or dark: what the system says, until somebody says otherwise. */
export type Theme = 'auto' | 'light' | 'dark';

const KEY = 'caterva2:theme';

export function readTheme(): Theme {
  const kept = safely(() => localStorage.getItem(KEY));
  return kept === 'light' || kept === 'dark' ? kept : 'auto';
}

export function useTheme(theme: Theme): void {
  if (theme === 'auto') {
    delete document.documentElement.dataset['theme'];
  } else {
    document.documentElement.dataset['theme'] = theme;
  }
  safely(() => localStorage.setItem(KEY, theme));
}

/** The next one for a switch. */
export function nextTheme(theme: Theme): Theme {
  return theme === 'auto' ? 'light' : theme === 'light' ? 'dark' : 'auto';
}

/** Storage may be forbidden. */
export function safely<T>(run: () => T): T | null {
  try {
    return run();
  } catch {
    return null;
  }
}
