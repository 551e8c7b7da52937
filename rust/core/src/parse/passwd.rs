//! `/etc/passwd`: the names of users (passwd(5)).

use super::{cut, digits_u32, lines};

/// The users in the file's order as `(uid, name)`; two names may share a uid, the first is meant.
/// Comments, NIS entries (`+`) and lines that are no user are left out.
pub fn users(text: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    lines(text).filter_map(user)
}

fn user(line: &[u8]) -> Option<(u32, &[u8])> {
    let (name, rest) = cut(line, b':')?;
    let (_password, rest) = cut(rest, b':')?;
    let (uid, _rest) = cut(rest, b':')?;
    if matches!(name.first()?, b'#' | b'+' | b'-') {
        return None;
    }
    Some((digits_u32(uid)?, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::hostile;
    use proptest::prelude::*;

    #[test]
    fn users_of_a_host() {
        let text = b"root:x:0:0:root:/root:/bin/bash\n# comment:x:1:1\n+::::::\n\n\
            broken:x:one:1::/:\nnobody:x:65534:65534::/:/sbin/nologin\nm\xfcller:x:1000:1000::/:";
        let expected = [(0, &b"root"[..]), (65534, b"nobody"), (1000, b"m\xfcller")];
        assert_eq!(users(text).collect::<Vec<_>>(), expected);
        assert_eq!(users(b"").count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes(text in hostile::text(&["root:x:0:0:", ":", "\n", "+", "#"])) {
            for (_, name) in users(&text) {
                prop_assert!(!name.is_empty());
            }
        }
    }
}
